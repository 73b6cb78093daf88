// expect: error
// error: TypeError
// line: 5
await 0; null.x;
//# sourceURL=evil.js
