// expect: timeout
// job: {"timeout_ms": 60}
const cell = new Int32Array(new SharedArrayBuffer(4));
for (let i = 0; i < 1e6; i++) Atomics.waitAsync(cell, 0, 0, 1e9);
'done';
