// expect: oom
// job: {"timeout_ms": 20000}
// stderr: over memory_mb 64
const kept = [];
for (;;) kept.push(new WebAssembly.Memory({ initial: 1 }));
