// expect: ok
// stdout: [Map]
let nested = new Map();
for (let i = 0; i < 50000; i++) nested = new Map([[nested, nested]]);
console.log(nested);
'done';
