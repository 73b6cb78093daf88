// expect: error
// error: SyntaxError
// line: 4
let a = 1; let # = 2;
