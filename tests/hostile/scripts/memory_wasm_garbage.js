// expect: ok
// job: {"timeout_ms": 10000}
// result: done
for (let i = 0; i < 100; i++) new Uint8Array(new WebAssembly.Memory({ initial: 320 }).buffer).fill(i);
'done';
