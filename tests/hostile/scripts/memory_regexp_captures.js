// expect: oom|timeout|error
// job: {"timeout_ms": 1000}
const kept = [];
for (;;) kept.push([...'abcdefgh'.repeat(5000).matchAll(/(.)(.)(.)(.)/g)]);
