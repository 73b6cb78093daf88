// expect: timeout
// job: {"timeout_ms": 150}
// stdout: before
console.log('before');
Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
