// expect: ok
// stdout_is: a
const a = setTimeout(() => { console.log('a'); clearTimeout(b); clearTimeout(a); });
const b = setTimeout(() => console.log('b'));
