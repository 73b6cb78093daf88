// expect: timeout
// job: {"timeout_ms": 150}
// A busy wait by the clock.
const until = Date.now() + 1e9;
while (Date.now() < until);
