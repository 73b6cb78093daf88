// expect: error
// error: RuntimeError
// (memory 1) (func (export "f") (i32.load (i32.const -1)))
const bytes = new Uint8Array([0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 127, 3, 2, 1, 0, 5, 3, 1, 0, 1, 7, 5, 1, 1, 102,
  0, 0, 10, 9, 1, 7, 0, 65, 127, 40, 2, 0, 11]);
new WebAssembly.Instance(new WebAssembly.Module(bytes)).exports.f();
