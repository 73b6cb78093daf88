// expect: ok
// stdout: [ 1, 'b' ]
// result: b
// not: pwned
for (const name of ['value', 'type', 'objectId', 'result', 'exceptionDetails', 'depth', 'colors', 'compact', 'breakLength'])
  Object.prototype[name] = 'pwned';
console.log([1, 'b']);
await 0;
'b';
