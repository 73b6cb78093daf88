// expect: timeout|oom|error
// job: {"timeout_ms": 200}
const sparse = [];
sparse[2 ** 32 - 2] = 1;
sparse.concat(sparse, sparse).sort().reverse();
