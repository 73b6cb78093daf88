// expect: oom
// job: {"timeout_ms": 20000}
// stdout: before
console.log('before');
console.log('x'.repeat(100 * 2 ** 20));
