// expect: oom
// job: {"timeout_ms": 20000}
const kept = [];
setInterval(() => { for (let i = 0; i < 1000; i++) kept.push(new Array(1000).fill(0)); });
