// expect: timeout
// job: {"timeout_ms": 150}
async function* numbers() { for (let i = 0;; i++) yield i; }
for await (const n of numbers());
