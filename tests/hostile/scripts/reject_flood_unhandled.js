// expect: error
// job: {"timeout_ms": 5000}
for (let i = 0; i < 20000; i++) Promise.reject(i);
