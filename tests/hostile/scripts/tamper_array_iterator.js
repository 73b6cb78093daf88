// expect: ok
// stdout: [ 1, 2 ] Map(1) { 'a' => 1 } Set(1) { 2 }
// result: [1,2]
const map = new Map().set('a', 1), set = new Set().add(2);
Array.prototype[Symbol.iterator] = function* () { yield 'pwned'; };
Map.prototype[Symbol.iterator] = Set.prototype[Symbol.iterator] = null;
Array.prototype.push = Array.prototype.map = Array.prototype.join = () => 'pwned';
console.log([1, 2], map, set);
[1, 2];
