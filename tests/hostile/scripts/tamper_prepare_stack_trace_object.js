// expect: error
// error: TypeError
// line: 5
Error.prepareStackTrace = (e, sites) => sites; null.x;
