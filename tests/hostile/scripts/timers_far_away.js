// expect: timeout
// job: {"timeout_ms": 200}
// stdout: waiting
setTimeout(() => {}, 2 ** 31 - 1);
console.log('waiting');
