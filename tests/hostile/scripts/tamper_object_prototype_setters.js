// expect: ok
// stdout: { x: 1, y: [ 2 ] }
// result: {"x":1}
let seen = 0;
for (const name of ['0', '1', 'x', 'y', 'length', 'seen', 'budget', 'indentationLvl', 'currentDepth'])
  Object.defineProperty(Object.prototype, name, { set() { seen++; }, get() { return 'pwned'; }, configurable: true });
console.log({ x: 1, y: [2] });
await 0;
({ x: 1 });
