// expect: ok
// job: {"timeout_ms": 10000}
// Clean: the next job comes to the same executor. finds_nothing.js looks.
Object.prototype.then = function (settle) { settle('left'); };
'left';
