// expect: timeout|oom
// job: {"timeout_ms": 200}
const encoder = new TextEncoder(), text = '\u20ac'.repeat(2 ** 21);
for (;;) encoder.encode(text);
