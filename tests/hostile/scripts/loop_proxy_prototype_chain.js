// expect: error
// error: RangeError
// A proxy whose prototype is itself, by way of a trap.
const p = new Proxy({}, { getPrototypeOf: () => p });
p instanceof Object;
