// expect: ok
// result_type: undefined
