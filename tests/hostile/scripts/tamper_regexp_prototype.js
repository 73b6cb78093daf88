// expect: ok
// stdout: [ /a/g, 'it' ]
RegExp.prototype.exec = RegExp.prototype[Symbol.replace] = RegExp.prototype.test = () => null;
Object.defineProperty(RegExp.prototype, 'flags', { get() { return 'pwned'; } });
console.log([/a/g, 'it']);
