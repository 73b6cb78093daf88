// expect: ok
// job: {"timeout_ms": 10000}
// Clean: the next job comes to the same executor. finds_nothing.js looks.
for (let i = 0; i < 1000; i++) (async () => { await new Promise(() => {}); console.log('left'); })();
new FinalizationRegistry(() => console.log('left')).register({}, 1);
'left';
