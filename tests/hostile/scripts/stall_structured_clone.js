// expect: timeout|oom
// job: {"timeout_ms": 200}
const wide = Array.from({ length: 1e5 }, (_, i) => ({ i }));
for (;;) structuredClone(wide);
