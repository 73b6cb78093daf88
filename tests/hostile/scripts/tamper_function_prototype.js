// expect: ok
// stdout: { f: [Function: f] }
// result: 1
Function.prototype.call = Function.prototype.apply = Function.prototype.bind = () => 'pwned';
Function.prototype.toString = () => { throw 1; };
console.log({ f() {} }.f === 1 ? '' : { f: function f() {} });
await 0;
1;
