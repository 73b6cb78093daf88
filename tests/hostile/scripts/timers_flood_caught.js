// expect: ok
// result: 10000
let count = 0;
const ids = [];
try { for (;;) { ids.push(setTimeout(() => {}, 1e9)); count++; } } catch {}
ids.forEach(clearTimeout);
count;
