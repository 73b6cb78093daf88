// expect: ok
// stderr: TimeoutError: timeout
// Printing it does not make it so.
console.error('TimeoutError: timeout: stopped after 1 ms');
'done';
