// expect: timeout|oom
// job: {"timeout_ms": 100}
const numbers = new Float64Array(4e6).map(() => Math.random());
for (;;) numbers.slice().sort().reverse();
