// expect: ok
// job: {"timeout_ms": 10000}
// Clean: the next job comes to the same executor. finds_nothing.js looks.
for (const C of [Object, Array, String, Number, Promise, Map, Set, Error, RegExp, Function]) C.prototype.left = C.left = () => 'left';
Array.prototype.map = String.prototype.trim = Map.prototype.get = () => 'left';
'left';
