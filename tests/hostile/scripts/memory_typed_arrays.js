// expect: oom
// job: {"timeout_ms": 20000}
const kept = [];
for (;;) kept.push(new Uint8Array(2 ** 20).fill(1));
