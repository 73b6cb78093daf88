// expect: error
// error: SyntaxError
break;
