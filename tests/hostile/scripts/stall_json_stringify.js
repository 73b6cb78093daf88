// expect: timeout|oom
// job: {"timeout_ms": 200}
const wide = Array.from({ length: 1000 }, (_, i) => 'value ' + i);
JSON.stringify(Array(100000).fill(wide));
