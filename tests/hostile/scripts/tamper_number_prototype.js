// expect: ok
// stdout: 1.5 -0 true 7n
// result: 1.5
for (const P of [Number.prototype, Boolean.prototype, BigInt.prototype, Symbol.prototype])
  P.toString = P.valueOf = P[Symbol.toPrimitive] = () => 'pwned';
console.log(1.5, -0, true, 7n);
1.5;
