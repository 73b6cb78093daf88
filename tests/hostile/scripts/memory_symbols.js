// expect: oom
// job: {"timeout_ms": 8000}
for (let i = 0;; i++) Symbol.for('symbol number ' + i + ' '.repeat(500));
