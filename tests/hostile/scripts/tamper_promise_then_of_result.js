// expect: ok
// result: 42
// The completion value is a promise: it is awaited whatever its `then` became.
const promise = Promise.resolve(42);
promise.then = (f) => f('pwned');
promise;
