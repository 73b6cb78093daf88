// expect: oom
// job: {"timeout_ms": 20000}
const map = new WeakMap(), kept = [];
for (;;) { const key = {}; kept.push(key); map.set(key, [1, 2, 3]); }
