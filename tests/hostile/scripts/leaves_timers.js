// expect: error
// job: {"timeout_ms": 10000}
// Clean: the next job comes to the same executor. finds_nothing.js looks.
setTimeout(() => console.log('left'), 1e6);
setInterval(() => console.log('left'), 1e6);
Atomics.waitAsync(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1e6).value.then(() => console.log('left'));
null.left;
