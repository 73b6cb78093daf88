// expect: error
// error: TypeError
// line: 4
setTimeout(() => { null.x; });
//# sourceURL=somewhere/else.js
