// expect: ok
// stdout: 1970-01-01T00:00:00.000Z
Date.prototype.toISOString = Date.prototype.toString = Date.prototype.getTime = () => 'pwned';
Intl.Segmenter = Intl.DateTimeFormat = undefined;
console.log([new Date(0)]);
