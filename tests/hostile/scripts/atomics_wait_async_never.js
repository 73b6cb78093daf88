// expect: error
// error: UnsettledPromiseError
await Atomics.waitAsync(new Int32Array(new SharedArrayBuffer(4)), 0, 0).value;
