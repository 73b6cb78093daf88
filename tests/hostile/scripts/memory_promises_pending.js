// expect: oom
// job: {"timeout_ms": 20000}
const kept = [];
for (;;) kept.push(new Promise(() => {}).then(() => {}));
