// expect: oom|timeout
// job: {"timeout_ms": 200}
new Array(2 ** 32 - 1).fill(0);
