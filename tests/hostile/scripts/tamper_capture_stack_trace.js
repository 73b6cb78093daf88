// expect: error
// error: TypeError
// line: 8
// stdout: { a: 1 }
// not: hijacked
Error.captureStackTrace = (error) => { error.stack = 'hijacked'; };
console.log({ a: 1 });
null.x;
