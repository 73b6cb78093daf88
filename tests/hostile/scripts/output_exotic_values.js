// expect: ok
// job: {"timeout_ms": 5000}
const { proxy, revoke } = Proxy.revocable({}, {});
revoke();
console.log(proxy, [proxy], new Proxy(class A {}, {}), Object.create(null), new (class extends null { static x = 1; constructor() { return Object.create(new.target.prototype); } })());
console.log(new WeakMap(), new WeakSet(), new WeakRef({}), Promise.resolve({ proxy }), (function () { return arguments; })(1), globalThis, new Date(NaN));
console.log(new DataView(new ArrayBuffer(1)), new SharedArrayBuffer(1, { maxByteLength: 2 }), [, 1, , ], Object(1n), Object(Symbol('x')), new Map().entries());
console.log((function* () {})(), (async function* () {})(), Math, JSON, Intl, WebAssembly, Atomics, Reflect, Object.assign(() => {}, { a: 1 }));
console.log(structuredClone, Symbol.prototype, Array.prototype, Date.prototype, RegExp.prototype, Error.prototype, Promise.prototype, Map.prototype);
'done';
