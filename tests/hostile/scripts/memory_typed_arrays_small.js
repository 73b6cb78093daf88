// expect: oom
// job: {"timeout_ms": 20000}
// Too small to be refused one by one.
const kept = [];
for (;;) kept.push(new ArrayBuffer(64), new ArrayBuffer(1));
