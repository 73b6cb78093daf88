// expect: ok
// stdout: (index)
console.table(new Proxy([{ a: 1 }], {}), ['a']);
console.table(new Map([[{}, Symbol("x")]]));
console.table([[1, 2], null, undefined, () => {}]);
console.table(5);
'done';
