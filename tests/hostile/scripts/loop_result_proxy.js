// expect: timeout
// job: {"timeout_ms": 150}
new Proxy({}, { ownKeys() { for (;;); } });
