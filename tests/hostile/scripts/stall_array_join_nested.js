// expect: timeout|error|oom
// job: {"timeout_ms": 200}
let nested = ['x'];
for (let i = 0; i < 40; i++) nested = [nested, nested];
String(nested);
