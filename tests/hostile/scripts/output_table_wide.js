// expect: ok|oom|timeout
// job: {"timeout_ms": 1000}
console.table(Array.from({ length: 300 }, (_, i) => ({ ['column' + i]: i })));
'done';
