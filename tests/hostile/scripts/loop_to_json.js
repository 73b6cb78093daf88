// expect: timeout
// job: {"timeout_ms": 150}
// stdout: done
// The script itself is over when its result is made.
console.log('done');
({ toJSON() { for (;;); } });
