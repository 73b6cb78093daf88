// expect: oom
// job: {"timeout_ms": 20000}
// stdout: before
// stderr: memory
console.log('before');
const kept = [];
for (;;) kept.push([1, 2, 3, 4, 5, 6, 7, 8]);
