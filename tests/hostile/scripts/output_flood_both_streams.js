// expect: ok
// truncated: stderr
// job: {"timeout_ms": 10000, "max_output_bytes": 50000}
for (let i = 0; i < 1e5; i++) { console.log('out', i); console.error('err', i); }
'done';
