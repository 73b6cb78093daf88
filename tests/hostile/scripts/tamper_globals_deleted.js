// expect: ok
// stdout: still
// result: 1
const { log } = console, global = globalThis;
for (const name of Object.getOwnPropertyNames(global)) delete global[name];
log('still', { a: [1] });
await 0;
1;
