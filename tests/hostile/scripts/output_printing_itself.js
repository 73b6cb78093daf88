// expect: ok|error
// not: crashed
const o = { [Symbol.for('nodejs.util.inspect.custom')]() { console.log(o); return 'never'; } };
console.log(o);
'done';
