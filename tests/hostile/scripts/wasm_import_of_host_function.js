// expect: ok
// stdout: 5
// (import "a" "f" (func (param i32))) (start calls it with 5)
const bytes = new Uint8Array([0, 97, 115, 109, 1, 0, 0, 0, 1, 8, 2, 96, 1, 127, 0, 96, 0, 0, 2, 7, 1, 1, 97, 1, 102, 0, 0,
  3, 2, 1, 1, 8, 1, 1, 10, 8, 1, 6, 0, 65, 5, 16, 0, 11]);
await WebAssembly.instantiate(bytes, { a: { f: console.log } });
'done';
