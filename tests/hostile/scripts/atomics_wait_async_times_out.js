// expect: ok
// result: timed-out
// Its time limit is all that can settle it, and is worth waiting for.
await Atomics.waitAsync(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 10).value;
