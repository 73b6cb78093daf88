// expect: ok
// result: 5
let threw = 0;
for (const value of [() => {}, Symbol('x'), new WeakMap(), new Proxy({}, {}), Promise.resolve()])
  try { structuredClone(value); } catch (e) { threw += e.name === 'DataCloneError'; }
threw;
