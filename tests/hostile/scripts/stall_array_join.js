// expect: timeout|error|oom
// job: {"timeout_ms": 200}
new Array(2 ** 32 - 1).join('');
