// expect: ok
// stdout: (index)
console.table(new Proxy([{ a: 1 }], {}), { length: 2 ** 32, 0: 'a' } && ['a']);
console.table(new Map([[{}, Symbol('x')]]));
console.table([[1, 2], null, undefined, () => {}]);
console.table(5, 6);
'done';
