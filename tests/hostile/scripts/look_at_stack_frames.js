// expect: ok
// not: /work
// not: isoq-executor
new Error('frames').stack;
