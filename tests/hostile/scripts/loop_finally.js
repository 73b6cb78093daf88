// expect: timeout
// job: {"timeout_ms": 150}
// Neither catch nor finally may see the stop.
function forever() { for (;;) { try { for (;;); } catch { console.log('caught'); } finally { forever(); } } }
forever();
