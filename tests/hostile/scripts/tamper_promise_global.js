// expect: ok
// result: 3
globalThis.Promise = function () { throw 1; };
const f = async () => 3;
await f();
