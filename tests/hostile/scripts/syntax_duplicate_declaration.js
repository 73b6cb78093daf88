// expect: error
// error: SyntaxError
let a = 1;
let a = 2;
