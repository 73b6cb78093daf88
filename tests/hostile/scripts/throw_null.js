// expect: error
// message: null
throw null;
