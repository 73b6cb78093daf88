// expect: timeout|oom
// job: {"timeout_ms": 150}
'x'.padEnd(2 ** 28).normalize('NFD');
