// expect: timeout
// job: {"timeout_ms": 150}
JSON.parse('[1]', () => { for (;;); });
