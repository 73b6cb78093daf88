// expect: ok
// result: done
// Nobody waits for it.
Atomics.waitAsync(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 60000);
'done';
