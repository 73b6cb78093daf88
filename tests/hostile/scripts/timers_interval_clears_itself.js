// expect: ok
// result: 3
let n = 0;
await new Promise((resolve) => { const id = setInterval(() => { if (++n === 3) { clearInterval(id); clearInterval(id); resolve(); } }, 0); });
n;
