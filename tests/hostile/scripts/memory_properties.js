// expect: oom
// job: {"timeout_ms": 5000}
const o = {};
for (let i = 0;; i++) o['property ' + i] = i;
