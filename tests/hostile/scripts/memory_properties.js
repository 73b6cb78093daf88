// expect: oom|timeout
// job: {"timeout_ms": 500}
const o = {};
for (let i = 0;; i++) o['property ' + i] = i;
