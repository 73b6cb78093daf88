// expect: ok
// result: 9
new Promise((resolve) => resolve(Promise.resolve(Promise.resolve(9))));
