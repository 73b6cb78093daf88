// expect: timeout
// job: {"timeout_ms": 150}
// stdout: before
console.log('before');
for (;;) await null;
