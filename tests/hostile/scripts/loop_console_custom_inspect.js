// expect: timeout
// job: {"timeout_ms": 150}
console.log({ [Symbol.for('nodejs.util.inspect.custom')]() { for (;;); } });
