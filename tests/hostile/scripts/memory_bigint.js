// expect: oom|error|timeout
// job: {"timeout_ms": 500}
let n = 1n;
const kept = [];
for (;;) { n <<= 1000000n; kept.push(n); }
