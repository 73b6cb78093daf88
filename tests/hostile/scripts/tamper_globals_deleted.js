// expect: ok
// stdout: still
// result: 1
const { log } = console;
for (const name of Object.getOwnPropertyNames(globalThis)) delete globalThis[name];
log('still', { a: [1] });
await 0;
1;
