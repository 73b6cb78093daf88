// expect: oom
// job: {"timeout_ms": 20000}
// not: caught
const kept = [];
for (;;) try { for (;;) kept.push({ kept }); } catch (e) { console.log('caught'); } finally { kept.push({}); }
