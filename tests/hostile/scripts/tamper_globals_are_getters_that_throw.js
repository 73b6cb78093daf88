// expect: ok
// result: 2
for (const name of Object.getOwnPropertyNames(globalThis))
  try { Object.defineProperty(globalThis, name, { get() { throw new Error('pwned'); } }); } catch {}
await 0;
2;
