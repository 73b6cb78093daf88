// expect: error
// error: SyntaxError
// line: 5
let a = 1; let # = 2;
