// expect: ok
// result: 0
await 0;
-0;
