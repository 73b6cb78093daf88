// expect: timeout|oom
// job: {"timeout_ms": 200}
for (const text = 'A'.repeat(2 ** 24);;) btoa(atob(text));
