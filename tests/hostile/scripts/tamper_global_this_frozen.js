// expect: ok|error
// not: crashed
Object.freeze(globalThis);
await 0;
var late = 1;
