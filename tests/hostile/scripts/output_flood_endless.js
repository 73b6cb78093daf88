// expect: timeout
// job: {"timeout_ms": 300, "max_output_bytes": 1000000}
// stdout: flood
for (;;) console.log('flood of text');
