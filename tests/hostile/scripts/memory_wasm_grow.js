// expect: oom
// job: {"timeout_ms": 20000}
// stdout: before
// stderr: over memory_mb 64
console.log('before');
const memory = new WebAssembly.Memory({ initial: 1, maximum: 65536 });
for (;;) { const size = memory.grow(16) * 65536; new Uint8Array(memory.buffer, size).fill(1); }
