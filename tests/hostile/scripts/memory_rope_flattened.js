// expect: oom|error
// job: {"timeout_ms": 20000}
/y/.test('x'.repeat(2 ** 29 - 24));
