// expect: oom
// job: {"timeout_ms": 20000}
({ toJSON() { const kept = []; for (;;) kept.push([kept.length]); } });
