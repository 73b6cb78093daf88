// expect: ok
// job: {"timeout_ms": 3000}
// stdout: { a: 1 }
// result: {"a":1}
// not: pwned
for (const name of ['value', 'type', 'objectId', 'result', 'exceptionDetails', 'exception', 'unserializableValue', 'name',
  'message', 'stack', 'columns', 'lineNumber', 'columnNumber', 'description', 'subtype', 'get', 'set', 'depth',
  'colors', 'compact', 'showHidden', 'stylize', '.repl_result', 'id', 'error'])
  Reflect.defineProperty(Object.prototype, name, Object.assign(Object.create(null), { get() { return 'pwned'; }, set() {}, configurable: true }));
console.log({ a: 1 });
await 0;
({ a: 1 });
