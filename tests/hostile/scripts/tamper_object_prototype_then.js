// expect: ok
// result: 5
Object.prototype.then = function (resolve) { delete Object.prototype.then; resolve('pwned'); };
await 1;
5;
