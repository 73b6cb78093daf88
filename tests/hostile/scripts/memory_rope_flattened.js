// expect: oom|error
// job: {"timeout_ms": 5000}
/y/.test('x'.repeat(2 ** 29 - 24));
