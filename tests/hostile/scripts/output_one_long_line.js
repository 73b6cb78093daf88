// expect: ok
// truncated: stdout
// job: {"timeout_ms": 10000}
console.log('x'.repeat(20 * 2 ** 20));
'done';
