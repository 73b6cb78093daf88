// expect: error
// error: RangeError
Error.prepareStackTrace = () => new Error('again').stack;
(function f() { f(); })();
