// expect: error
// message: custom
console.log({ [Symbol.for('nodejs.util.inspect.custom')]() { throw new Error('custom'); } });
