// expect: ok|error
// not: crashed
let f = () => 1;
for (let i = 0; i < 300000; i++) f = f.bind(null);
f();
