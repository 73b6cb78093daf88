// expect: ok
// result: 42
Promise.prototype.then = () => { throw 1; };
Promise.prototype.catch = Promise.prototype.finally = null;
await 1;
42;
