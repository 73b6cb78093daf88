// expect: timeout
// job: {"timeout_ms": 150}
Array.from({ length: 2 ** 32 - 1 }, () => { for (;;); });
