// expect: ok
// stdout: ran
Object.defineProperty(Promise, Symbol.species, { get() { throw new Error('species'); } });
queueMicrotask(() => console.log('ran'));
'done';
