// expect: ok
// job: {"timeout_ms": 8000, "max_output_bytes": 1000}
for (let i = 0; i < 1e5; i++) { console.count('label ' + i); console.time('timer ' + i); }
for (let i = 0; i < 1e5; i++) { console.countReset('label ' + i); console.timeEnd('timer ' + i); }
'done';
