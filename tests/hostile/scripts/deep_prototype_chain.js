// expect: ok
// result: false
let o = {};
for (let i = 0; i < 10000; i++) o = Object.create(o);
'x' in o;
