// expect: timeout|oom
// job: {"timeout_ms": 200}
for (const text = 'x=>'.repeat(2000) + '1';;) eval(text + ';'.repeat(2 ** 20));
