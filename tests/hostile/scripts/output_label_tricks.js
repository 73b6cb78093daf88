// expect: error
// message: label
console.count(Symbol.iterator === 1);
console.time(null);
console.timeEnd('null');
console.count({ toString() { return 'x\0y\n'; } });
console.timeLog({ toString() { throw new Error('label'); } });
throw new Error('label');
