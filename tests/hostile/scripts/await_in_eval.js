// expect: error
// error: SyntaxError
eval('await 1');
