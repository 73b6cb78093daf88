// expect: ok
// truncated: stdout
// job: {"timeout_ms": 10000}
for (let i = 0; i < 1.1e6; i++) console.log('');
'done';
