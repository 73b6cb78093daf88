// expect: error
// error: SyntaxError
return 1; /*
