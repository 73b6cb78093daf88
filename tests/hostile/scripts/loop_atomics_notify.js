// expect: timeout
// job: {"timeout_ms": 150}
// The lock that this takes is one that stopping a script takes, too.
for (const cell = new Int32Array(new SharedArrayBuffer(4));;) Atomics.notify(cell, 0);
