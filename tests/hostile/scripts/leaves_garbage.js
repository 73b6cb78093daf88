// expect: ok
// job: {"timeout_ms": 10000}
// Clean: the next job comes to the same executor. finds_nothing.js looks.
for (let i = 0; i < 200; i++) globalThis.left = [new Array(131072).fill(i), new Uint8Array(2 ** 20).fill(i)];
globalThis.memory = new WebAssembly.Memory({ initial: 320 });
'left';
