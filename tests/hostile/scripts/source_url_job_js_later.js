// expect: error
// error: TypeError
// line: 4
await 0; null.x;
//# sourceURL=evil.js
