// expect: error
// error: SyntaxError
class A { static { await 1; } }
