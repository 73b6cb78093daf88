// expect: timeout
// job: {"timeout_ms": 200}
new URL({ toString() { for (;;); } });
