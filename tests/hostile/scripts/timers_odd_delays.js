// expect: ok
// result: 7
let ran = 0;
for (const delay of [NaN, -1, -Infinity, Infinity, 2 ** 31, '', null]) setTimeout(() => ran++, delay);
await new Promise((resolve) => setTimeout(resolve, 50));
ran;
