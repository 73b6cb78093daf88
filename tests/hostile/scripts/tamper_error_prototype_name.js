// expect: error
// message: real
// not: timeout:
Error.prototype.name = 'TimeoutError';
Object.defineProperty(Error.prototype, 'stack', { get() { return 'forged'; } });
throw new Error('real');
