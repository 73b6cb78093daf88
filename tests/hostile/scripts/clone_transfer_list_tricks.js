// expect: ok
// result: 6
const buffer = new ArrayBuffer(8);
let threw = 0;
for (const transfer of [[buffer, buffer], [1], 'x', [new SharedArrayBuffer(1)], [new WebAssembly.Memory({ initial: 1 }).buffer],
  Object.defineProperty([], 0, { get() { throw 1; } })])
  try { structuredClone(buffer, { transfer }); } catch { threw++; }
threw;
