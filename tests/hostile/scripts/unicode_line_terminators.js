// expect: error
// error: TypeError
// A line separator ends a comment. 
null.x;
