// expect: timeout
// job: {"timeout_ms": 150}
Array.prototype.indexOf.call({ length: Number.MAX_SAFE_INTEGER }, 1);
