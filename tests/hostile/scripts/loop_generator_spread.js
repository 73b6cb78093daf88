// expect: timeout|oom
// job: {"timeout_ms": 200}
[...(function* () { for (;;) yield 1; })()].length;
