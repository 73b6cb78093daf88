// expect: oom
// job: {"timeout_ms": 20000}
// Each is remembered until the microtasks have run.
for (let i = 0;; i++) Promise.reject([i]);
