// expect: oom
// job: {"timeout_ms": 5000}
const kept = [];
function* g() { yield* g(); }
for (;;) { const one = g(); kept.push(one); }
