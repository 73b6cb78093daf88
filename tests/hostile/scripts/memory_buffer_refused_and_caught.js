// expect: ok
// result: RangeError
let name;
try { new ArrayBuffer(2 ** 30); } catch (e) { ({ name } = e); }
name;
