// expect: error
// error: RangeError
eval('('.repeat(500000) + '1' + ')'.repeat(500000));
