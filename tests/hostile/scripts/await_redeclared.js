// expect: ok
// result: 3
let a = await 1; { let a = await 2; } a + 2;
