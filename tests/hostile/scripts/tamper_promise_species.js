// expect: ok
// result: 42
Object.defineProperty(Promise, Symbol.species, { get() { throw new Error('species'); } });
await 1;
42;
