// expect: ok
// job: {"timeout_ms": 10000}
// Clean: the next job comes to the same executor. finds_nothing.js looks.
for (const C of [Object, Array, Error, Promise, Map, String]) { Object.freeze(C); Object.freeze(C.prototype); }
Object.freeze(console); Object.freeze(JSON); Object.preventExtensions(globalThis);
'left';
