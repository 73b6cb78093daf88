// expect: ok
// result: none
// No way from the formatter's realm to its Function.
let got = 'none';
console.log({
  [Symbol.for('nodejs.util.inspect.custom')](depth, options, inspect) {
    try { got = typeof inspect.constructor('return this')().isProxy; } catch {}
    return '';
  },
});
got;
