// expect: timeout
// job: {"timeout_ms": 150}
with (new Proxy({}, { has() { for (;;); } })) anything;
