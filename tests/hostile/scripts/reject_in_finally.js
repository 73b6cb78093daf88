// expect: error
// message: second
await Promise.reject(new Error('first')).finally(() => { throw new Error('second'); });
