// expect: timeout
// job: {"timeout_ms": 150}
for (;;) BigInt('9'.repeat(2 ** 20)).toString(7);
