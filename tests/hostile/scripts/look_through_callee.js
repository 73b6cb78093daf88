// expect: ok
// result: true
// Neither a timer nor the console shows its caller.
let caller = 'unset';
function sloppy() { caller = sloppy.caller; return ''; }
console.log('%s', { toString: sloppy });
caller === null || caller === undefined;
