// expect: ok
// job: {"timeout_ms": 5000}
// truncated: stdout
for (let i = 0; i < 1e5; i++) console.group('level');
for (let i = 0; i < 3e5; i++) console.groupEnd();
console.log('out');
'done';
