// expect: ok
// truncated: stdout
// job: {"max_output_bytes": 10}
// stdout_json: "12345\n123\n"
// stderr: isoq: stdout was cut: 13 bytes printed, over max_output_bytes 10
console.log('12345');
console.log('123456');
console.log('1');
