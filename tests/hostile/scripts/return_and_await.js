// expect: ok
// result: 8
const x = await Promise.resolve(8);
return x;
