// expect: timeout
// job: {"timeout_ms": 150}
console.log('%s', { toString() { for (;;); } });
