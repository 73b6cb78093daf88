// expect: error
// error: UnsettledPromiseError
await new Promise(() => {});
