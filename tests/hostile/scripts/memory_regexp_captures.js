// expect: oom|timeout|error
// job: {"timeout_ms": 500}
const kept = [];
for (;;) kept.push([...'abcdefgh'.repeat(5000).matchAll(/(.)(.)(.)(.)/g)]);
