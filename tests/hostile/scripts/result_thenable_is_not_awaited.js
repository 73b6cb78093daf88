// expect: ok
// result: {}
({ then(resolve) { resolve('no'); } });
