// expect: error
// error: RangeError
// message: Maximum call stack size exceeded
// line: 5
(function f() { f(); })();
