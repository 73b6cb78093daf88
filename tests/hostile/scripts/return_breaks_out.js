// expect: error
// error: SyntaxError
// Must not close the wrapper's braces.
return 1; })(); globalThis.escaped = 1; (async () => {
