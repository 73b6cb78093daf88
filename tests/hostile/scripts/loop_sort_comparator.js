// expect: timeout
// job: {"timeout_ms": 150}
[3, 1, 2].sort(() => { for (;;); });
