// expect: timeout
// job: {"timeout_ms": 150}
/^(a+)+$/.test('a'.repeat(40) + '!');
