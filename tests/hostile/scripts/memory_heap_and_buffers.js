// expect: oom
// job: {"timeout_ms": 20000}
// stderr: over memory_mb 64
// Either alone would fit.
const kept = [];
for (let i = 0; i < 50; i++) kept.push(new Uint8Array(2 ** 20).fill(1));
for (let i = 0; i < 7e5; i++) kept.push({ i });
kept.length;
