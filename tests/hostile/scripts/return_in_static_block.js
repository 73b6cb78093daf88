// expect: error
// error: SyntaxError
class C { static { return 1; } }
