// expect: ok
// result: 2
try { throw new Error('x'); } finally { return 2; }
