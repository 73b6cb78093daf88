// expect: ok
// result: 1
for (let i = 0; i < 1000; i++) debugger;
1;
