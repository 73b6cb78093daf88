// expect: oom|error
// job: {"timeout_ms": 20000}
for (;;) setTimeout(() => {}, 1e6, new Array(2000).fill(1));
