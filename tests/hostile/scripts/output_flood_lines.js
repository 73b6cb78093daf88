// expect: ok
// truncated: stdout
// job: {"timeout_ms": 10000, "max_output_bytes": 100000}
// result: done
for (let i = 0; i < 1e6; i++) console.log(i);
'done';
