// expect: ok
// result: null
({ toJSON() {} });
