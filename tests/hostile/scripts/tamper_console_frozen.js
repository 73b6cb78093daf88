// expect: ok
// stdout: still here
Object.freeze(console);
Object.setPrototypeOf(console, null);
console.log('still here');
