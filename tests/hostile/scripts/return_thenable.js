// expect: ok
// result: 6
return { then(resolve) { resolve(6); } };
