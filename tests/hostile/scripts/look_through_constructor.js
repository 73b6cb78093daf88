// expect: error
// error: ReferenceError
({}).constructor.constructor('return process')();
