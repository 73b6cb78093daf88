// expect: ok
// job: {"timeout_ms": 10000}
// Clean: the next job comes to the same executor. finds_nothing.js looks.
Error.prepareStackTrace = () => 'left';
Error.captureStackTrace = (error) => { error.stack = 'left'; };
Error.stackTraceLimit = 0;
'left';
