// expect: error
// error: TypeError
const o = {};
o.o = o;
o;
