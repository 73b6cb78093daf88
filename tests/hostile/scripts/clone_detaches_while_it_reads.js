// expect: ok|error
// not: crashed
const a = new ArrayBuffer(8), b = new ArrayBuffer(8, { maxByteLength: 64 });
const value = { get x() { try { structuredClone(0, { transfer: [a] }); } catch {} b.resize(64); return new Uint8Array(b); }, a, b };
const clone = structuredClone(value, { transfer: [a, b] });
console.log(clone);
'done';
