// expect: ok
// result: true
// Their source says nothing.
[console.log, setTimeout, structuredClone, atob, crypto.getRandomValues]
  .every((f) => Function.prototype.toString.call(f).includes('[native code]') && !Object.hasOwn(f, 'caller') && !Object.hasOwn(f, 'arguments'));
