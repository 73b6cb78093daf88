// expect: ok
// stdout: [Object]
let nested = {};
for (let i = 0; i < 200000; i++) nested = { nested };
console.log(nested);
'done';
