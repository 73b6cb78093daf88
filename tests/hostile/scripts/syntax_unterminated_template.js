// expect: error
// error: SyntaxError
`${
