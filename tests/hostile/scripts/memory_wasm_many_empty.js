// expect: oom
// job: {"timeout_ms": 10000}
// stderr: no more WebAssembly memories
// Four gigabytes of address space each, and no byte.
const kept = [];
for (;;) kept.push(new WebAssembly.Memory({ initial: 0 }));
