// expect: oom|timeout
// job: {"timeout_ms": 500}
Error.stackTraceLimit = Infinity;
const kept = [];
const deep = (n) => (n > 0 ? deep(n - 1) : new Error('x').stack);
for (;;) kept.push(deep(1000));
