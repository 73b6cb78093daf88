// expect: ok
// result: ok
const cell = new Int32Array(new SharedArrayBuffer(4));
const { value } = Atomics.waitAsync(cell, 0, 0);
Atomics.notify(cell, 0);
await value;
