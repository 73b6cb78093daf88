// expect: error
// error: RangeError
const f = async () => { await f(); };
await f();
