// expect: ok
// job: {"timeout_ms": 10000}
// Clean: the next job comes to the same executor. finds_nothing.js looks.
globalThis.left = globalThis[Symbol.for('left')] = 1; var leftVar = 1; delete globalThis.atob; globalThis.URL = 'left';
'left';
