// expect: ok
// job: {"timeout_ms": 3000}
// result: 30000
// Handling a rejection must not cost more the more of them there are.
const all = [];
for (let i = 0; i < 30000; i++) all.push(Promise.reject(i));
(await Promise.allSettled(all)).length;
