// expect: timeout
// job: {"timeout_ms": 150}
/^(\p{L}|\p{Script=Latin}|[a-z])*$/u.exec('a'.repeat(60) + '!');
