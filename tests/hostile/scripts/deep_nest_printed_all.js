// expect: ok|error
let nested = {};
for (let i = 0; i < 20000; i++) nested = { nested };
console.dir(nested, { depth: null });
'done';
