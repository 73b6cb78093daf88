// expect: error
// message: {"code":5}
// not: pwned
// What is thrown is the object, not what hangs on its prototype.
Object.prototype.message = 'pwned message';
Object.prototype.stack = 'pwned stack';
throw { code: 5 };
