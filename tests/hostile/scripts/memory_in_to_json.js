// expect: oom
// job: {"timeout_ms": 5000}
({ toJSON() { const kept = []; for (;;) kept.push([kept.length]); } });
