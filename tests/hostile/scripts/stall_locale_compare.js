// expect: timeout|oom
// job: {"timeout_ms": 200}
const a = '\u00e4'.repeat(2 ** 22) + 'a', b = '\u00e4'.repeat(2 ** 22) + 'b';
for (;;) a.localeCompare(b, 'de', { sensitivity: 'base' });
