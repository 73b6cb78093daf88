// expect: error
// message: 5
await 0;
throw 5n;
