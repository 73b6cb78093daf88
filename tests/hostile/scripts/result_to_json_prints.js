// expect: ok
// stdout: late line
// result: {"a":1}
({ get a() { console.log('late line'); return 1; } });
