// expect: error
let nested = {};
for (let i = 0; i < 200000; i++) nested = { nested };
throw nested;
