// expect: oom
// job: {"timeout_ms": 20000}
// stdout: before
// stderr: over memory_mb 64
console.log('before');
const buffer = new SharedArrayBuffer(0, { maxByteLength: 2 ** 30 });
for (let size = 2 ** 20;; size += 2 ** 20) { buffer.grow(size); new Uint8Array(buffer, size - 2 ** 20).fill(1); }
