// expect: error
// error: TypeError
// line: 4
null.x;
//# sourceURL=isoq:inspect
