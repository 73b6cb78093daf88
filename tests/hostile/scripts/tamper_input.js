// expect: ok
// job: {"input": {"__proto__": {"polluted": 1}, "then": 5, "toJSON": 6, "constructor": {"prototype": 1}}}
// result: ["own",null,5]
[Object.hasOwn(input, '__proto__') ? 'own' : 'inherited', {}.polluted ?? null, input.then];
