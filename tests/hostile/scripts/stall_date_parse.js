// expect: timeout
// job: {"timeout_ms": 150}
for (const text = '(' .repeat(2 ** 20);;) Date.parse(text);
