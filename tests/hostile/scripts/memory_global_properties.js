// expect: oom
// job: {"timeout_ms": 5000}
for (let i = 0;; i++) globalThis['g' + i] = { i };
