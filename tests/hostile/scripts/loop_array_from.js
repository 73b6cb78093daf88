// expect: error
// error: RangeError
// job: {"timeout_ms": 200}
Array.from({ length: 2 ** 53 - 1 }, () => 0);
