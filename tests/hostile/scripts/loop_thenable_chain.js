// expect: timeout
// job: {"timeout_ms": 150}
const endless = { then(resolve) { resolve(endless); } };
await endless;
