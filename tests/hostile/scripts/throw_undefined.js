// expect: error
// message: undefined
throw undefined;
