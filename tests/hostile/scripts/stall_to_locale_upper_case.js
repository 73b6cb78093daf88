// expect: timeout|oom
// job: {"timeout_ms": 200}
for (const text = '\u00df\u0149'.repeat(2 ** 21);;) text.toLocaleUpperCase('tr').length;
