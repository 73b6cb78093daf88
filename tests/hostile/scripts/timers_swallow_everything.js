// expect: timeout
// job: {"timeout_ms": 150}
setInterval(() => { try { for (;;); } finally { setInterval(() => {}, 0); } }, 0);
