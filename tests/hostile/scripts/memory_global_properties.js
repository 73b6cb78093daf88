// expect: oom|timeout
// job: {"timeout_ms": 500}
for (let i = 0;; i++) globalThis['g' + i] = { i };
