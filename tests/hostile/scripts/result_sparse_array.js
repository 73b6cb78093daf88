// expect: error
// error: RangeError
const sparse = [];
sparse[2 ** 32 - 2] = 1;
sparse;
