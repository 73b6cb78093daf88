// expect: ok
// job: {"timeout_ms": 20000}
// truncated: stdout
// The text is 1 MB, the cut output 1 MiB; indenting it all first would take 1 GB.
for (let i = 0; i < 500; i++) console.group();
console.log('\n'.repeat(1e6));
'survived';
