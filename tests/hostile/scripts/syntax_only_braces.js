// expect: error
// error: SyntaxError
})(); while (true); (() => {
