// expect: oom|ok
// job: {"timeout_ms": 20000}
console.log(Array.from({ length: 50 }, (_, i) => 'x'.repeat(2 ** 18) + i));
'survived';
