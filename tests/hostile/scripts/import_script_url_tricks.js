// expect: error
// error: SyntaxError
export default 1;
