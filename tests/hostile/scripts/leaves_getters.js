// expect: ok
// job: {"timeout_ms": 10000}
// Clean: the next job comes to the same executor. finds_nothing.js looks.
for (const name of ['value', 'get', 'set', 'text', 'level', 'stack', 'left'])
  Object.defineProperty(Object.prototype, name, { __proto__: null, get: () => 'left', set() {}, configurable: true });
'left';
