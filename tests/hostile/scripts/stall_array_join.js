// expect: ok
// result:
new Array(2 ** 32 - 1).join('');
