// expect: timeout
// job: {"timeout_ms": 150}
setTimeout(() => {}, { [Symbol.toPrimitive]() { for (;;); } });
