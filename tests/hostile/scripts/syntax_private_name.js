// expect: error
// error: SyntaxError
({}).#secret;
