// expect: oom
// job: {"timeout_ms": 20000}
const kept = [];
for (let i = 0;; i++) kept.push(String(i).padStart(1000));
