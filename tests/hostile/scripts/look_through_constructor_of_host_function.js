// expect: ok
// result: undefined,undefined,undefined,undefined
[console.log, setTimeout, structuredClone, crypto.randomUUID].map((f) => f.constructor('return typeof process')()).join();
