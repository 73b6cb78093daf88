// expect: oom
// job: {"timeout_ms": 20000}
const set = new Set();
for (;;) set.add({});
