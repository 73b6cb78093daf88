// expect: ok
// stdout: { a: { b: 1 } } after
// not: pwned
// A custom inspect function gets things from the formatter's own realm; what it does to them stays without effect.
const reached = [];
console.log({
  [Symbol.for('nodejs.util.inspect.custom')](depth, options, inspect) {
    for (let o of [inspect, options, options.stylize, this])
      for (; o !== null && o !== undefined; o = Object.getPrototypeOf(o)) if (o !== Object.prototype && o !== Function.prototype) reached.push(o);
    return 'custom';
  },
});
for (const o of reached) {
  for (const name of ['depth', 'compact', 'colors', 'showHidden', 'constructor', 'toString', 'value', 'get'])
    try { o[name] = 'pwned'; } catch {}
  for (const name of ['call', 'apply', 'bind']) try { o[name] = () => 'pwned'; } catch {}
}
console.log({ a: { b: 1 } }, 'after');
