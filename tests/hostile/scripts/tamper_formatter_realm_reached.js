// expect: ok
// job: {"timeout_ms": 3000}
// stdout: { a: 1 } [ 1, 'x', Map(1) { 1 => 2 }, /a/g ]
// not: pwned
// Everything that can be reached from what the formatter hands out or throws is replaced. What is printed afterwards is
// as it was.
const start = [];
try { console.table([1], 6); } catch (e) { start.push(e); }
console.log({ [Symbol.for('nodejs.util.inspect.custom')](depth, options, inspect) { start.push(options, inspect); return 'custom'; } });
const walk = (roots, found, except) => {
  for (const todo = [...roots]; todo.length > 0;) {
    const o = todo.pop();
    if (Object(o) !== o || found.has(o) || except.has(o)) continue;
    found.add(o);
    todo.push(Object.getPrototypeOf(o));
    for (const d of Object.values(Object.getOwnPropertyDescriptors(o))) todo.push(d.value, d.get, d.set);
  }
  return found;
};
for (const o of walk(start, new Set(), walk([globalThis], new Set(), new Set())))
  for (const key of Reflect.ownKeys(o))
    if (typeof Object.getOwnPropertyDescriptor(o, key).value === 'function')
      try { Object.defineProperty(o, key, { value: () => 'pwned' }); } catch {}
console.log({ a: 1 }, [1, 'x', new Map([[1, 2]]), /a/g]);
