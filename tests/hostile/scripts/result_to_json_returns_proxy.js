// expect: ok
// result: {"a":{"b":1}}
({ toJSON: () => new Proxy({ a: 0 }, { get: (t, n) => (n === 'a' ? { b: 1 } : undefined) }) });
