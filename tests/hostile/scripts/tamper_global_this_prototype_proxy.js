// expect: ok
// result: 7
try {
  Object.setPrototypeOf(globalThis, new Proxy({}, { has: () => true, get: (t, n) => (n === Symbol.unscopables ? undefined : 7) }));
} catch {}
typeof nowhere === 'undefined' ? 7 : nowhere;
