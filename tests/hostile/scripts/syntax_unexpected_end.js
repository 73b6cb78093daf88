// expect: error
// error: SyntaxError
function f( {
