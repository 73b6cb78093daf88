// expect: ok
// result_type: symbol
await 0;
Symbol('x');
