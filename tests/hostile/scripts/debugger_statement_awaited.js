// expect: ok
// result: 1
await 0;
debugger;
1;
