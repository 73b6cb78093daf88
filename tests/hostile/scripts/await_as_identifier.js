// expect: error
// error: SyntaxError
var await = 5; await;
