// expect: oom|timeout
// job: {"timeout_ms": 500}
let o = {};
for (let i = 0;; i++) o = { ...o, ['k' + i]: { ...o } };
