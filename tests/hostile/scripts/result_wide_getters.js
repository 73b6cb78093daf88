// expect: ok
// result_length: 1000002
const o = {};
Object.defineProperty(o, 'a', { enumerable: true, get() { for (let i = 0; i < 100; i++) o['b' + i] = i; return 'x'.repeat(1e6 - 6); } });
o;
