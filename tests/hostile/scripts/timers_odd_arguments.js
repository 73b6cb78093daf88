// expect: ok
// result: 6
let threw = 0;
for (const callback of [undefined, null, 'while(true);', {}, 5, Symbol('x')]) try { setTimeout(callback); } catch { threw++; }
for (const id of [undefined, null, NaN, -1, 2 ** 53, {}, Symbol('x'), '1', 1n]) clearTimeout(id);
threw;
