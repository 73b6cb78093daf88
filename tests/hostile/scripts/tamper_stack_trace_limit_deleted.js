// expect: error
// error: TypeError
// line: 4
Error.stackTraceLimit = 0; await 0; null.x;
