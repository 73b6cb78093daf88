// expect: ok
// job: {"timeout_ms": 10000}
// Clean: the next job comes to the same executor. finds_nothing.js looks.
/(left)/.exec('left'); Symbol.for('left').description;
new WeakMap([[Symbol, 'left']]); 'left';
