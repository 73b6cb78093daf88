// expect: timeout|error
// job: {"timeout_ms": 150}
(7n ** (2n ** 24n)).toString().length;
