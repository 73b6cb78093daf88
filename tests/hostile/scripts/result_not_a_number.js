// expect: ok
// result: null
// result_type: number
await 0;
NaN;
