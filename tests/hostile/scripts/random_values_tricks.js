// expect: ok
// result: 7
let threw = 0;
for (const value of [undefined, null, {}, new Float64Array(1), new DataView(new ArrayBuffer(1)), new Uint8Array(65537), []])
  try { crypto.getRandomValues(value); } catch { threw++; }
crypto.getRandomValues(new Uint8Array(new SharedArrayBuffer(16)));
crypto.getRandomValues(new Uint8Array(new WebAssembly.Memory({ initial: 1 }).buffer, 0, 100));
threw;
