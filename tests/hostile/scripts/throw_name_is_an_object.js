// expect: error
// message: odd
throw Object.assign(new Error('odd'), { name: { toString() { throw 1; } } });
