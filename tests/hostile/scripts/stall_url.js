// expect: timeout|oom|error
// job: {"timeout_ms": 200}
new URL('http://' + '\u00e4.'.repeat(50000) + 'x/' + '../'.repeat(200000) + '?' + '\u20ac'.repeat(100000)).href.length;
