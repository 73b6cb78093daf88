// expect: timeout
// job: {"timeout_ms": 150}
'x'.repeat(60).replace(/(?<=(x*)*y)z|(x*)*y/g, '');
