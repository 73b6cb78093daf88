// expect: timeout
// job: {"timeout_ms": 150}
throw Object.defineProperty(new Error('x'), 'stack', { get() { for (;;); } });
