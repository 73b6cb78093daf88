// expect: error
// error: TypeError
// line: 4
Error.prepareStackTrace = (e, sites) => sites; null.x;
