// expect: timeout
// job: {"timeout_ms": 150}
setInterval(() => {}, 0);
'not the end';
