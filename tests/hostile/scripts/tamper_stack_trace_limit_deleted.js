// expect: error
// error: TypeError
// line: 5
Error.stackTraceLimit = 0; await 0; null.x;
