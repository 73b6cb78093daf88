// expect: error
// error: TypeError
// line: 5
Error.stackTraceLimit = { valueOf() { throw 1; } }; null.x;
