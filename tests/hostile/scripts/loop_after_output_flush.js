// expect: timeout
// job: {"timeout_ms": 200}
// stdout: last words
// The batch that is not full yet must come out too.
for (let i = 0; i < 50; i++) console.log('line', i);
console.log('last words');
for (;;) Math.random();
