// expect: error
// error: UnsettledPromiseError
// A wait with a time limit is a delayed task of V8's platform, which the event loop does not count as something to wait
// for, unlike a timer. Node does.
await Atomics.waitAsync(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 10).value;
