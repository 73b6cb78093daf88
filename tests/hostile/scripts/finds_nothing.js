// expect: ok
// result: []
// stdout_is: default: 1
// peak_max_kb: 4096
const found = [];
const look = (what, is) => { if (!is) found.push(what); };
const native = (f) => typeof f === 'function' && /\{\s*\[native code\]\s*\}$/.test(Function.prototype.toString.call(f));
look('globals', !('left' in globalThis) && !(Symbol.for('left') in globalThis) && typeof leftVar === 'undefined');
look('deleted', typeof atob === 'function' && typeof URL === 'function');
for (const C of [Object, Array, String, Number, Promise, Map, Set, Error, RegExp, Function]) {
  look(C.name, !('left' in C) && !('left' in C.prototype) && !Object.isFrozen(C) && !Object.isFrozen(C.prototype));
  for (const name of Object.getOwnPropertyNames(C.prototype)) {
    const { value, get, set } = Object.getOwnPropertyDescriptor(C.prototype, name);
    for (const f of [value, get, set]) if (typeof f === 'function') look(`${C.name}.prototype.${name}`, native(f));
  }
}
look('Intl', native(Intl.NumberFormat) && new Intl.NumberFormat('de-DE').format(1234.5) === '1.234,5' && (1234.5).toLocaleString() === '1,234.5');
look('error hooks', Error.prepareStackTrace === undefined && native(Error.captureStackTrace) && Error.stackTraceLimit === 10 && /at job\.js:/.test(new Error().stack));
look('then', ({}).then === undefined);
look('toJSON', JSON.stringify({ s: '' }) === '{"s":""}');
look('getters', ['value', 'get', 'set', 'text', 'level', 'stack'].every((name) => ({})[name] === undefined));
look('extensible', Object.isExtensible(globalThis) && !Object.isFrozen(console) && !Object.isFrozen(JSON));
look('console', native(console.log));
look('RegExp.$1', RegExp.$1 === '');
console.count();
found;
