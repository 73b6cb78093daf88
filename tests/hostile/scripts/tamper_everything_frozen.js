// expect: error
// error: TypeError
// message: reading 'x'
// stdout: Map(1) { 'a' => [ 1 ] } example.com
const seen = new Set();
const freeze = (value) => {
  if (value === null || !['object', 'function'].includes(typeof value) || seen.has(value)) return;
  seen.add(value);
  for (const key of Reflect.ownKeys(value)) {
    const { value: inner, get, set } = Object.getOwnPropertyDescriptor(value, key);
    [inner, get, set, Object.getPrototypeOf(value)].forEach(freeze);
  }
  Object.freeze(value);
};
for (const name of Object.getOwnPropertyNames(globalThis)) if (name !== 'globalThis') freeze(globalThis[name]);
console.log(new Map([['a', [1]]]), new URL('http://example.com').host);
null.x;
