// expect: ok
// result: true
this === globalThis && (function () { return this; })() === globalThis;
