// expect: oom
// job: {"timeout_ms": 5000}
const set = new Set();
for (;;) set.add({});
