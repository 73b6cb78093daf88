// expect: timeout
// job: {"timeout_ms": 150}
const hay = 'a'.repeat(2 ** 20), needle = 'a'.repeat(2 ** 10) + 'b';
for (;;) hay.replaceAll(needle, '');
