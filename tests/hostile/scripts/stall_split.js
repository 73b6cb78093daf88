// expect: oom|timeout
// job: {"timeout_ms": 300}
'x'.repeat(2 ** 29 - 24).split('');
