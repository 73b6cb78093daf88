// expect: ok
// job: {"timeout_ms": 20000}
// result: 200
// What is let go of again is no offence.
let total = 0;
for (let i = 0; i < 200; i++) total += new Array(2 ** 17).fill(i).length / 2 ** 17;
total;
