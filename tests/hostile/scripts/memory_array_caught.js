// expect: oom
// job: {"timeout_ms": 5000}
// not: caught
const kept = [];
for (;;) try { for (;;) kept.push({ kept }); } catch (e) { console.log('caught'); } finally { kept.push({}); }
