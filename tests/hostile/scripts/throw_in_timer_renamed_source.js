// expect: error
// error: TypeError
// line: 5
setTimeout(() => { null.x; });
//# sourceURL=somewhere/else.js
