// expect: output_limit|oom|timeout
// job: {"timeout_ms": 2000}
const sparse = [];
sparse[2 ** 32 - 2] = 1;
sparse;
