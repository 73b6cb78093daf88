// expect: timeout|oom
// job: {"timeout_ms": 150}
// stdout: before
console.log('before');
for (;;) '\u00c5\u1e69'.repeat(2 ** 22).normalize('NFD').length;
