// expect: timeout|error|oom
// job: {"timeout_ms": 200}
for (let i = 0;; i++) new RegExp('(?:' + '(a{1,50}){1,50}'.repeat(20) + ')' + i).test('a');
