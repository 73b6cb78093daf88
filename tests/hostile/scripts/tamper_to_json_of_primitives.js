// expect: ok
// result: 10
// result_type: bigint
BigInt.prototype.toJSON = BigInt.prototype.toString = String.prototype.toJSON = () => 'pwned';
10n;
