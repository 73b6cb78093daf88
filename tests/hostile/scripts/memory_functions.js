// expect: oom|timeout
// job: {"timeout_ms": 300}
const kept = [];
for (let i = 0;; i++) kept.push(new Function('return [' + i + ',' + '1,'.repeat(1000) + ']'));
