// expect: ok
// result: {"a":[1]}
JSON.stringify = () => 'pwned';
JSON.parse = () => { throw 1; };
globalThis.JSON = null;
await 0;
({ a: [1] });
