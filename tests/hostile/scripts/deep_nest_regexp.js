// expect: error
// error: SyntaxError
new RegExp('('.repeat(100000) + ')'.repeat(100000));
