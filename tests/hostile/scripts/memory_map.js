// expect: oom
// job: {"timeout_ms": 20000}
const map = new Map();
for (let i = 0;; i++) map.set(i, i);
