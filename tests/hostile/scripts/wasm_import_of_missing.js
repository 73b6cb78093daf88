// expect: error
const bytes = new Uint8Array([0, 97, 115, 109, 1, 0, 0, 0, 1, 8, 2, 96, 1, 127, 0, 96, 0, 0, 2, 7, 1, 1, 97, 1, 102, 0, 0]);
new WebAssembly.Instance(new WebAssembly.Module(bytes), { a: { f: { call: process } } });
