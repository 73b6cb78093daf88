// expect: error
// message: outer
throw new AggregateError([new Error('one'), null, Symbol('x')], 'outer');
