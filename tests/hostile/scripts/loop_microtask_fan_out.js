// expect: timeout|oom
// job: {"timeout_ms": 200}
const fan = () => { Promise.resolve().then(fan); Promise.resolve().then(fan); };
fan();
