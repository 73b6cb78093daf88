// expect: ok
// truncated: stdout
// job: {"max_output_bytes": 10}
// stdout: ééé
console.log('\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9');
'done';
