// expect: cpu_timeout
// job: {"timeout_ms": 5000, "cpu_ms": 100}
// stdout: before
console.log('before');
for (;;);
