// expect: timeout|oom
// job: {"timeout_ms": 200}
for (const text = 'x=>'.repeat(300) + '1';;) eval(text + ';'.repeat(2 ** 20));
