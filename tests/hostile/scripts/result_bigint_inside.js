// expect: error
// error: TypeError
({ n: 1n });
