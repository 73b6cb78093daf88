// expect: timeout
// job: {"timeout_ms": 150}
// stdout: before
console.log('before');
const again = () => Promise.resolve().then(again);
again();
