// expect: error
// job: {"timeout_ms": 3000}
// error: TypeError
// line: 6
Error.prepareStackTrace = () => { throw new Error('from the hook'); };
null.x;
