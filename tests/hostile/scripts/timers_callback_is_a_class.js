// expect: error
// error: TypeError
setTimeout(class {});
