// expect: oom|error
// job: {"timeout_ms": 20000}
const kept = [];
for (;;) { const b = new ArrayBuffer(2 ** 20); kept.push(structuredClone(b, { transfer: [b] })); }
