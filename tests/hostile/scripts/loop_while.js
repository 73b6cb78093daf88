// expect: timeout
// job: {"timeout_ms": 150}
// stdout: before
// stderr: timeout
console.log('before');
while (true);
