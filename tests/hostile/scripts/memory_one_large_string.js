// expect: oom
// job: {"timeout_ms": 20000}
// stdout: before
// stderr: memory_mb
// V8 grants one young object of any size.
console.log('before');
'x'.repeat(100 * 2 ** 20).charCodeAt(5);
