// expect: error
// error: TypeError
for (const C of [Error, TypeError, Promise, Object, Function])
  Object.defineProperty(C, Symbol.hasInstance, { value() { throw new Error('pwned'); } });
console.log(new TypeError('printed'), Promise.resolve(1));
null.x;
