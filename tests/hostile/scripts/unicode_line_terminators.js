// expect: error
// error: TypeError
// A line separator ends a comment: what follows runs. null.x;
