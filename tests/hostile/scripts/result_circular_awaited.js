// expect: error
// error: TypeError
await 0;
const o = { list: [] };
o.list.push(o);
o;
