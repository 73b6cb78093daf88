// expect: ok|oom|timeout
// job: {"timeout_ms": 1000}
console.table(Array.from({ length: 20000 }, (_, i) => ({ i, a: 'a'.repeat(10), b: [i] })));
'done';
