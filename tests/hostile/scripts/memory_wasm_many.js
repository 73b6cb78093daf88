// expect: error|oom|crashed
// job: {"timeout_ms": 5000}
const kept = [];
for (;;) kept.push(new WebAssembly.Memory({ initial: 1 }));
