// expect: timeout
// job: {"timeout_ms": 200, "cpu_ms": 100}
// Waiting is no processor time.
Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 60000);
