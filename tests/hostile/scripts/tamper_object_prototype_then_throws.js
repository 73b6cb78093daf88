// expect: ok
// result: 5
Object.defineProperty(Object.prototype, 'then', { get() { throw new Error('pwned'); } });
await 1;
5;
