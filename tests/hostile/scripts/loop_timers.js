// expect: timeout
// job: {"timeout_ms": 150}
// stdout: tick
let said = false;
setTimeout(function again() { if (!said) console.log('tick'); said = true; setTimeout(again, 0); });
