// expect: error
// error: Error
throw new Error('a\0b\ud800c\nstatus: ok');
