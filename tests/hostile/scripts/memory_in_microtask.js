// expect: oom
// job: {"timeout_ms": 20000}
const kept = [];
const more = async () => { for (;;) { kept.push(new Array(100).fill(0)); await null; } };
await more();
