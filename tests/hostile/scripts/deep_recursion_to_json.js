// expect: error
// error: RangeError
const o = { toJSON() { return JSON.stringify(o); } };
o;
