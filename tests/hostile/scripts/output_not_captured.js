// expect: ok
// job: {"capture_console": false}
// stdout_is:
// Nothing is formatted, so nothing can loop.
console.log({ get [Symbol.toStringTag]() { for (;;); } }, '%s', { toString() { for (;;); } });
'done';
