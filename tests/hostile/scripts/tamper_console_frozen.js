// expect: ok
// stdout: still here
Object.setPrototypeOf(console, null);
Object.freeze(console);
console.log('still here');
