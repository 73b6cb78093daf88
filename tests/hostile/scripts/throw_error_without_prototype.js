// expect: error
throw Object.setPrototypeOf(new Error('bare'), null);
