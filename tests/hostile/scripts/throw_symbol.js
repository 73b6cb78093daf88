// expect: error
throw Symbol('boo');
