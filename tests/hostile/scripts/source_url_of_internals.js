// expect: error
// error: TypeError
// line: 5
null.x;
//# sourceURL=isoq:inspect
