// expect: error
// message: in return
const it = { [Symbol.iterator]: () => ({ next: () => ({ value: Promise.resolve(1), done: false }), return() { throw new Error('in return'); } }) };
for await (const x of it) break;
