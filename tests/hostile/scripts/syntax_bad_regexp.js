// expect: error
// error: SyntaxError
/(?<a>.)(?<a>.)/u;
