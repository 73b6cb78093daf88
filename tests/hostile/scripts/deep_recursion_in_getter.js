// expect: error
// error: RangeError
const o = { get x() { return o.x; } };
o.x;
