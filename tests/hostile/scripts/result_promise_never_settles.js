// expect: error
// error: UnsettledPromiseError
new Promise(() => {});
