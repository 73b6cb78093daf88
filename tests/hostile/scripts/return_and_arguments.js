// expect: error
// error: ReferenceError
return arguments.length;
