// expect: error
// error: SyntaxError
async function f(a = await 1) {}
