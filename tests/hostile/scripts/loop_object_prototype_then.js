// expect: timeout
// job: {"timeout_ms": 150}
Object.prototype.then = function (resolve) { resolve({}); };
await {};
