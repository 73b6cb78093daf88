// expect: timeout
// job: {"timeout_ms": 150}
let product = 1n;
for (let i = 1n; i < 1000000n; i++) product *= i;
product.toString();
