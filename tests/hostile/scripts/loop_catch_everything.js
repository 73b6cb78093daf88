// expect: timeout
// job: {"timeout_ms": 150}
// not: caught
for (;;) try { for (;;); } catch (e) { console.log('caught', e); }
