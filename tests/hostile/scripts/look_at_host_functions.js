// expect: ok
// result: true
// Their source says nothing.
[console.log, setTimeout, structuredClone, atob, crypto.getRandomValues]
  .every((f) => Function.prototype.toString.call(f).includes('[native code]') && f.caller == null && f.arguments == null);
