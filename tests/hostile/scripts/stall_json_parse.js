// expect: timeout|oom
// job: {"timeout_ms": 200}
for (const text = '[' + '{"a":[1,2,3]},'.repeat(2 ** 17) + '1]';;) JSON.parse(text);
