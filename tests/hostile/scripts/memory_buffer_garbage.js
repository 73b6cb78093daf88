// expect: ok
// job: {"timeout_ms": 20000}
// result: 200
let total = 0;
for (let i = 0; i < 200; i++) total += new Uint8Array(2 ** 20).fill(1)[7];
total;
