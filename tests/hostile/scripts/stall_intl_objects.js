// expect: timeout|oom
// job: {"timeout_ms": 300}
// Each has ICU's memory behind it, which V8's heap does not see.
const kept = [];
for (;;) kept.push(new Intl.DateTimeFormat('ar-EG-u-ca-islamic'), new Intl.Collator('zh'), new Intl.NumberFormat('hi'));
