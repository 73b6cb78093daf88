// expect: oom
// job: {"timeout_ms": 20000}
// A WeakRef keeps its target until the job's turn is over.
const kept = [];
for (;;) kept.push(new WeakRef(new Array(100).fill(1)));
