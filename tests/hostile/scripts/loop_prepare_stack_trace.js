// expect: timeout
// job: {"timeout_ms": 150}
Error.prepareStackTrace = () => { for (;;); };
null.x;
