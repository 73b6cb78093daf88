// expect: oom
// job: {"timeout_ms": 5000}
const kept = [];
for (;;) kept.push(new Promise(() => {}).then(() => {}));
