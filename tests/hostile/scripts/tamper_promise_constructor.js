// expect: ok
// result: 42
Promise.prototype.constructor = class { constructor() { throw 7; } static get [Symbol.species]() { throw 8; } };
await 1;
42;
