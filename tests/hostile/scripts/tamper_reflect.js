// expect: ok
// stdout: Proxy stays { a: 1 }
for (const name of Object.getOwnPropertyNames(Reflect)) Reflect[name] = () => 'pwned';
for (const name of ['keys', 'getOwnPropertyNames', 'getOwnPropertyDescriptor', 'getPrototypeOf', 'entries', 'defineProperty'])
  Object[name] = () => ['pwned'];
console.log('Proxy stays', { a: 1 });
