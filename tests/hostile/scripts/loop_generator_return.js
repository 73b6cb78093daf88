// expect: timeout
// job: {"timeout_ms": 150}
function* stubborn() { try { yield 1; } finally { for (;;); } }
for (const n of stubborn()) break;
