// expect: error
// message: odd
throw Object.assign(new Error('odd'), { stack: { toString() { throw 1; } } });
