// expect: ok
// stdout: inner
const o = { [Symbol.for('nodejs.util.inspect.custom')]() { console.group(); console.log('inner'); return 'outer'; } };
console.log(o);
'done';
