// expect: ok
// result: 3
return 3 // no newline after this
