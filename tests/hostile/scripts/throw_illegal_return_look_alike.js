// expect: error
// stdout_is: once
// Must not run a second time, as the body of a function.
console.log('once');
await 0;
Error.stackTraceLimit = 0;
throw Object.assign(new SyntaxError('Illegal return statement'), { stack: '' });
