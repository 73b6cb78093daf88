// expect: oom
// job: {"timeout_ms": 20000}
const kept = [];
for (;;) { const b = new SharedArrayBuffer(2 ** 20); new Uint8Array(b).fill(1); kept.push(b); }
