// expect: ok
// result: RangeError
let name;
try { (function f() { f(); })(); } catch (e) { ({ name } = e); }
name;
