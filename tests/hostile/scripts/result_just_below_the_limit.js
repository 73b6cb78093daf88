// expect: ok
// result_length: 8388608
'x'.repeat(8388608);
