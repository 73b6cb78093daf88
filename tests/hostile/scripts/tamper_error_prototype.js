// expect: error
// error: TypeError
// line: 6
Error.prototype.toString = () => 'pwned';
Error.captureStackTrace = () => { throw 'pwned'; };
null.x;
