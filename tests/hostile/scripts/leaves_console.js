// expect: ok
// job: {"timeout_ms": 10000}
// Clean: the next job comes to the same executor. finds_nothing.js looks.
console.group('left'); console.count(); console.time('left');
console.log = () => 'left';
globalThis.console = { log: () => 'left', error: () => 'left' };
'left';
