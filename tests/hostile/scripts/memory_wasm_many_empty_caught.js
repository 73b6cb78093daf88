// expect: ok
// job: {"timeout_ms": 10000}
// result: 8192 100000
let n = 0, length;
try { for (const kept = [];; n++) kept.push(new WebAssembly.Memory({ initial: 0 })); } catch { length = new Array(1e5).fill(n).length; }
`${n} ${length}`;
