// expect: error
// error: Error
// message: outermost
let e = new Error('innermost');
for (let i = 0; i < 5000; i++) e = new Error('outermost', { cause: e });
console.log(e);
throw e;
