// expect: oom
// job: {"timeout_ms": 20000}
const kept = [];
function* g() { yield* g(); }
for (;;) { const one = g(); kept.push(one); }
