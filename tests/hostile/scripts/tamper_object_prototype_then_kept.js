// expect: ok
// result: 5
// Every object is a thenable that says something else.
Object.prototype.then = function (resolve) { resolve('pwned'); };
await 1;
5;
