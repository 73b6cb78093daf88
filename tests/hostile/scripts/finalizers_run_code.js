// expect: ok|timeout
// job: {"timeout_ms": 500}
const registry = new FinalizationRegistry(() => { for (;;); });
for (let i = 0; i < 1000; i++) registry.register({}, i);
for (let i = 0; i < 200; i++) { new Array(2 ** 15).fill(i); await null; }
'done';
