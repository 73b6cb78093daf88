// expect: error
// error: TypeError
// line: 4
Error.stackTraceLimit = { valueOf() { throw 1; } }; null.x;
