// expect: ok
// stdout: [ 1, 2 ]
class Odd extends Array { static get [Symbol.species]() { throw new Error('species'); } }
Array[Symbol.species];
Object.defineProperty(Array, Symbol.species, { get() { throw new Error('species'); } });
console.log([1, 2]);
