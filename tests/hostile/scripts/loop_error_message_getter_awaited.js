// expect: timeout
// job: {"timeout_ms": 150}
await 0;
throw Object.defineProperty(new Error('x'), 'message', { get() { for (;;); } });
