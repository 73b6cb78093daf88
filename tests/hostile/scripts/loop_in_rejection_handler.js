// expect: timeout
// job: {"timeout_ms": 150}
await Promise.reject(1).catch(() => { for (;;); });
