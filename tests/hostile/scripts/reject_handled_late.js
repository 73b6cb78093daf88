// expect: ok
// result: caught
const p = Promise.reject(1);
await null;
await p.catch(() => 'caught');
