// Each case is an expression, evaluated once in a job's realm and printed by dist/inspect.js in a formatting realm, and
// once in Node's own realm and printed by Node. The texts must be the same.
//
// Node 22 is the reference; CHANGED names the cases in which another release of Node prints something else.

import assert from 'node:assert/strict';
import { Console } from 'node:console';
import { Writable } from 'node:stream';
import { describe, it } from 'node:test';
import util from 'node:util';
import { bareContext, formatter, inspectNatives, jobRealm, load, nodeMajor, runHere } from './support.mjs';

const prelude = 'Error.stackTraceLimit = 1;';

// Values, one argument each.
const VALUES = [
  // Primitives.
  'undefined', 'null', 'true', '0', '-0', '1e21', '0.1', 'NaN', 'Infinity', '123456789', '10n', '-5n', 'Symbol("a b")',
  'Symbol()', 'Symbol.iterator', '"plain"', '""', '"it\'s"', '"a\\nb"',
  // Strings inside of something.
  '["it\'s"]', '["it\'s \\"both\\""]', '["it\'s \\"all\\" `three`"]', '["a\\nb\\u0000\\x7f\\t"]', '["\\ud800 lone"]',
  '["x".repeat(200)]', '["line one is long enough\\nline two is as well, and together they break"]',
  '["y".repeat(10010)]', '({ s: "\\u{1f600}" })',
  // Objects.
  '({})', '({ a: 1, b: "two", c: [3] })', '({ "a-b": 1, 2: 3, "__proto__x": 4 })', '({ ["__proto__"]: 1 })',
  '({ [Symbol("s")]: 1, [Symbol()]: 2 })', '({ a: { b: { c: { d: 1 } } } })', '[[[[[1]]]]]', '({ a: { b: { c: {} } } })',
  '({ get a() { throw 1 }, set a(v) {}, get b() { throw 2 }, set c(v) {} })', 'Object.create(null)',
  'Object.assign(Object.create(null), { x: 1, y: [2] })', 'Object.create({ a: 1 })', 'Object.create(Object.create(null))',
  'Object.create(Object.create(Object.create(null)))', '({ [Symbol.toStringTag]: "Tag" })',
  '({ get [Symbol.toStringTag]() { return "T" } })', '({ get [Symbol.toStringTag]() { throw 1 } })',
  'Object.defineProperty({}, "hidden", { value: 1 })', '({ constructor: "no" })', '({ constructor: { name: "Fake" } })',
  'Object.create(null, { constructor: { value: class Z {} } })', '({ undefined: undefined, null: null })',
  '({ a: 1n, b: -0, c: Symbol("q"), d() {}, e: () => {}, f: async () => {} })', 'Object.freeze({ a: 1 })',
  'globalThis.Math', 'globalThis.JSON', 'Reflect', 'Atomics', 'Intl', 'new Intl.NumberFormat("en")',
  '({ a: "x".repeat(30), b: "y".repeat(30), c: "z".repeat(30) })', '({ a: {}, b: [], c: new Map, d: new Set, e: "" })',
  // Classes and functions.
  'class A {}', 'class extends Array {}', 'class A extends Object {}', 'class B extends null {}',
  '(() => { class A {} class B extends A { static s = 1 } return B })()', 'new (class Foo { x = 1; #y = 2 })',
  'new (class Foo extends Map { z = 1 })([[1, 2]])', 'new (class Foo extends Array {})(3)', 'new (class Foo extends Set {})',
  'new (class extends Date {})(0)', 'new (class { })', 'new (class Foo { get [Symbol.toStringTag]() { return "bar" } })',
  '(function () {})', '(function named() {})', '(() => {})', 'async function f() {}', 'function* g() {}',
  '(async function* h() {})', '(async () => {})', 'Object.assign(function f() {}, { a: 1 })', 'Object.setPrototypeOf(function f() {}, null)',
  'Object.setPrototypeOf(class K {}, null)', 'Math.max', 'Map', 'Symbol', '(function* () {})()', '(async function* () {})()',
  'Object.defineProperty(function () {}, "name", { value: 5 })', 'function f() { return 1 } f.bind(null)', 'new Function("a", "return a")',
  // Arrays.
  '[]', '[1, 2, 3]', '[1, , 3]', '[, ,]', 'new Array(5)', '[1, , , 4, ,]', 'Object.assign([1, 2], { x: 3, "-1": 4 })', 'Object.assign([], { a: 1 })',
  'Array.from({ length: 7 }, (_, i) => i)', 'Array.from({ length: 100 }, (_, i) => i * 7)', 'Array.from({ length: 101 }, (_, i) => i)',
  'Array.from({ length: 120 }, (_, i) => "item" + i)', 'Array.from({ length: 27 }, (_, i) => "a".repeat(i % 9))',
  'Array.from({ length: 10 }, (_, i) => ({ i }))', 'Array.from({ length: 10 }, (_, i) => [i, i])', '[[], [[]], [[], [[]]]]',
  '[undefined, null, NaN, -0]', '[1.5, -2.25, 1e100, 3, 4, 5, 6, 7]', '[1n, 2n, 3n, 4n, 5n, 6n, 7n]', 'Object.setPrototypeOf([1, 2], null)',
  'Object.setPrototypeOf([1, 2], {})', '["\\u4e2d\\u6587", "b", "c", "d", "e", "f", "g", "h"]', '[true, false, true, false, true, false, true]',
  '["\u2705", "\u274c", "\u{1f916}", "a", "bb", "\u26a0\ufe0f", "e\u0301", "\u{1f468}\u200d\u{1f469}"]', '(function () { return arguments })(1, "b")', '(function () { return arguments })()', 'Array.from({ length: 200 }, () => "x".repeat(20))',
  // Maps, sets, iterators.
  'new Map', 'new Map([["a", 1], [{ k: 1 }, new Map([[1, 2]])]])', 'new Set', 'new Set([1, "a", {}, [1]])', 'new Map([["a", new Set([1])]])',
  'new Set([new Set([new Set([new Set([1])])])])', 'new Map(Array.from({ length: 150 }, (_, i) => [i, i]))',
  'new Set(Array.from({ length: 150 }, (_, i) => i))', 'new Map([["a", 1]]).entries()', 'new Map([["a", 1]]).keys()', 'new Map([["a", 1]]).values()',
  'new Set([1, 2]).values()', 'new Set([1, 2]).entries()', 'new Map()[Symbol.iterator]()', '[1, 2][Symbol.iterator]()', '"ab"[Symbol.iterator]()',
  '"ab".matchAll(/a/g)', 'Object.setPrototypeOf(new Map([[1, 2]]), null)', 'Object.setPrototypeOf(new Set([1]), null)', 'Object.assign(new Map([[1, 2]]), { x: 1 })',
  'Object.assign(new Set([1]), { x: 1 })', 'new WeakMap([[{}, 1]])', 'new WeakSet([{}])', 'new WeakRef({ a: 1 })', 'new FinalizationRegistry(() => {})',
  // Promises.
  'Promise.resolve(4)', 'new Promise(() => {})', '(() => { const p = Promise.reject(new Error("no")); p.catch(() => {}); return p })()',
  'Promise.resolve({ a: { b: { c: {} } } })', 'Object.assign(Promise.resolve(1), { x: 1 })', 'new (class P extends Promise {})(() => {})', '({ then: Promise.resolve() })',
  // Buffers.
  'new ArrayBuffer(4)', 'new ArrayBuffer(0)', 'new ArrayBuffer(120)', 'new SharedArrayBuffer(2)', 'new DataView(new ArrayBuffer(3), 1)', 'new Uint8Array([1, 2, 3])',
  'new Uint8Array(0)', 'new Float64Array([1.5, -0])', 'new BigInt64Array([1n, -2n])', 'new Uint8ClampedArray(200)', 'new Int16Array(new ArrayBuffer(8), 2, 2)',
  'Object.assign(new Uint8Array(2), { x: 1 })', 'new (class Bytes extends Uint8Array {})(2)', 'Object.setPrototypeOf(new Uint8Array(2), null)',
  '(() => { const b = new ArrayBuffer(4); try { structuredClone(b, { transfer: [b] }) } catch {} return [1] })()',
  // Dates, expressions, boxes.
  'new Date(0)', 'new Date(NaN)', 'Object.assign(new Date(0), { x: 1 })', 'Object.setPrototypeOf(new Date(0), null)', '/a+/gi', 'Object.assign(/a/, { x: 1 })',
  'new (class R extends RegExp {})("x")', 'Object.setPrototypeOf(/n/g, null)', 'new Number(-0)', 'new String("abc")', 'new Boolean(false)', 'Object(1n)', 'Object(Symbol("s"))',
  'Object.assign(new String("ab"), { x: 1 })', 'Object.assign(new Number(1), { x: 1 })', 'new (class N extends Number {})(3)', 'Object.setPrototypeOf(new String("s"), null)', '[new Number(3), new String("s")]',
  // Errors.
  'new Error("plain")', 'new TypeError("t")', 'new Error("")', 'new Error("multi\\nline")', 'Object.assign(new Error("x"), { code: "E", n: { a: 1 } })',
  'new Error("outer", { cause: new TypeError("inner") })', 'new Error("outer", { cause: "text" })', 'new Error("o", { cause: { a: 1 } })', 'new AggregateError([new Error("1"), new RangeError("2")], "many")',
  'new AggregateError([], "none")', 'new (class MyError extends Error {})("mine")', 'new (class MyError extends Error { name = "Own" })("mine")',
  'new (class ValidationError extends Error { constructor(m) { super(m); this.name = "ValidationError" } })("v")',
  'Object.assign(new Error("renamed"), { name: "Renamed" })', 'Object.assign(new Error("a"), { message: "changed" })', 'Object.assign(new Error("s"), { stack: "no stack at all" })',
  'Object.assign(new Error("s"), { stack: undefined })', 'Object.assign(new Error("s"), { stack: { a: 1 } })', 'Object.setPrototypeOf(new Error("np"), null)', 'Object.create(Error.prototype)',
  'Object.create(new Error("proto"))', '[new Error("in array")]', '({ e: new Error("in object") })', '({ a: { b: { c: new Error("deep") } } })', 'new Map([["e", new Error("in map")]])',
  '(() => { const e = new Error("self"); e.cause = e; return e })()', 'new Error("o", { cause: null })', 'new Error("o", { cause: undefined })', 'Object.defineProperty(new Error("x"), "stack", { get() { throw 1 } })',
  '(() => { const e = new Error("s"); e.stack = "Error: s\\n" + "    at a (b.js:1:1)\\n    at c (d.js:2:2)\\n    at e (f.js:3:3)\\n".repeat(20); return e })()',
  '(() => { try { null.x } catch (e) { return e } })()', '(() => { try { JSON.parse("{") } catch (e) { return e.name } })()', 'new EvalError("e")', 'new URIError("u")', 'Object.assign(new Error("e"), { errors: [1] })',
  // Cycles.
  '(() => { const a = {}; a.a = a; return a })()', '(() => { const a = []; a.push(a, [a]); return a })()', '(() => { const a = {}, b = { a }; a.b = b; return [a, b] })()',
  '(() => { const m = new Map; m.set(m, m); return m })()', '(() => { const s = new Set; s.add(s); return s })()',
  // Proxies.
  'new Proxy({ a: 1 }, { get() { throw 1 }, ownKeys() { throw 2 }, getPrototypeOf() { throw 3 }, has() { throw 4 }, getOwnPropertyDescriptor() { throw 5 } })',
  'new Proxy([1, 2], { get() { throw 1 }, ownKeys() { throw 2 } })', 'new Proxy(function f() {}, { get() { throw 1 } })', 'new Proxy(new Proxy({ a: 1 }, {}), {})', '[new Proxy({ a: 1 }, {})]',
  '({ p: new Proxy(class K {}, {}) })', '(() => { const r = Proxy.revocable({}, {}); r.revoke(); return r.proxy })()', 'new Proxy(new Map([[1, 2]]), {})', 'new Proxy(new Error("p"), {})',
  // Custom inspection.
  '({ [Symbol.for("nodejs.util.inspect.custom")]() { return "custom!" } })', '({ [Symbol.for("nodejs.util.inspect.custom")]() { return { a: 1 } } })', '[{ [Symbol.for("nodejs.util.inspect.custom")]: () => "a\\nb" }]',
  '({ [Symbol.for("nodejs.util.inspect.custom")](depth, options, inspect) { return inspect({ depth, d: options.depth, c: options.compact }, options) } })', '({ [Symbol.for("nodejs.util.inspect.custom")]: 5 })',
  '({ x: { y: { [Symbol.for("nodejs.util.inspect.custom")](depth) { return "depth " + depth } } } })', '({ [Symbol.for("nodejs.util.inspect.custom")](d, o) { return o.stylize("x", "string") } })',
  '({ [Symbol.for("nodejs.util.inspect.custom")]() { return this } })', '({ inspect() { return "old" }, toString() { return "no" } })',
  // Much of it.
  'Array.from({ length: 30 }, (_, i) => ({ id: i, name: "name" + i, tags: ["a", "b"], nested: { deep: { deeper: {} } } }))',
  '({ data: { users: [{ id: 1, roles: ["admin", "user"], profile: { address: { city: "x" } } }], total: 1 }, ok: true, when: new Date(0) })',
];

// Several arguments, as console.log takes them.
const LISTS = [
  '[]', '["a", "b", 1, {}]', '["%s is %d years and %i, %f", "Bob", 42.5, 42.9, "1.50"]', '["%s", "a", "b", { c: 1 }]', '["%s %s", "only"]', '["100%", 1]', '["%% %s", 1]', '["%%"]', '["%x %s", 1, 2]',
  '["%j", { a: [1] }]', '["%j", (() => { const a = {}; a.a = a; return a })()]', '["%j", { toJSON() { return "json" } }]', '["%o", { f() {} }]', '["%O", { a: { b: { c: { d: 1 } } } }]', '["%o", [1]]', '["%c styled", "color: red"]',
  '["%s", null]', '["%s", undefined]', '["%s", Symbol("s")]', '["%s", -0]', '["%s", 5n]', '["%s", {}]', '["%s", { toString() { return "mine" } }]', '["%s", class A {}]', '["%s", function f() {}]', '["%s", [1, [2, [3]]]]', '["%s", new Error("in s")]',
  '["%s", new (class A { toString() { return "A!" } })]', '["%s", new (class B extends Date {})(0)]', '["%s", Object.create(null)]', '["%s", new Date(0)]', '["%s", { [Symbol.toPrimitive]() { return "prim" } }]', '["%s", new Proxy({}, { get() { throw 1 } })]',
  '["%d", "0x10"]', '["%d", {}]', '["%d", 5n]', '["%d", Symbol("x")]', '["%d", ""]', '["%i", "12.9abc"]', '["%i", 5n]', '["%f", "abc"]', '["%f", Symbol("f")]', '["%d", { valueOf() { return 7 } }]', '[1, "%s", "x"]', '[{}, "%s", "x"]', '["a\\nb", { c: "d\\ne" }]',
  '["%s", "x".repeat(20000)]', '["%O %s", [1, 2], "s"]', '["x", "y".repeat(100), { z: "z".repeat(100) }]', '[new Error("first"), "after"]', '["msg:", new Error("second")]', '["", "a"]', '[undefined, null]', '["%s"]', '["%"]', '["a%"]', '["%s%s%s", 1, 2]',
];

const TABLES = [
  '[[1, 2], [3, 4]]', '[{ a: 1, b: "x" }, { a: 2, c: true }]', '[1, "two", { three: 3 }]', '({ x: { a: 1 }, y: { a: 2 } })', 'new Map([["k", 1], [{ a: 1 }, [1, 2]]])', 'new Set([1, "b", { c: 1 }])', 'new Map([["k", 1]]).entries()', 'new Map([["k", 1]]).keys()',
  'new Set([1, 2]).values()', 'new Set([1, 2]).entries()', '[]', '({})', '5', '"text"', 'null', 'undefined', '[{ a: { b: 1, c: 2, d: 3 }, e: [1, 2, 3, 4, 5] }]', '[{ "\\u4e2d\\u6587": "\\u4e2d" }]', '[null, undefined, { a: null }]', '["a", "b"]', '[[], [1]]', 'new Uint8Array([1, 2])',
  '[() => {}, { f() {} }]', '[new Date(0)]', '[{ a: new Map([[1, 2]]) }]', '[Symbol("s")]', '[[{ x: 1 }]]', 'new Map', 'new Set', '[{ a: "multi\\nline" }]', 'function f() {}', '({ a: 1, b: 2 })', '[{ length: 1 }]', '[{ ok: "\u2705", n: "\u{1f916} robot" }, { ok: "\u26a0\ufe0f", n: "\u2192 \u00e9 e\u0301 \u05d0\u05b0" }]',
];

const COLUMNS = [
  ['[{ a: 1, b: 2 }, { a: 3 }]', '["b"]'], ['[{ a: 1, b: 2 }]', '["b", "a"]'], ['[{ a: 1 }]', '["none"]'], ['[{ a: 1 }]', '[]'], ['[1, 2]', '["a"]'], ['[[1, 2], [3, 4]]', '[1]'], ['new Map([[1, 2]])', '["x"]'], ['7', '["x"]'],
];

const OPTIONS = [
  ['({ a: { b: { c: { d: { e: 1 } } } } })', '{ depth: 0 }'], ['({ a: { b: { c: { d: { e: 1 } } } } })', '{ depth: null }'], ['[1, 2, 3]', '{ maxArrayLength: 1 }'], ['"abc"', 'undefined'], ['[{ [Symbol.for("nodejs.util.inspect.custom")]: () => "no" }]', 'undefined'],
  ['[1, { a: 1 }]', '{ showHidden: true }'], ['new Uint8Array(2)', '{ showHidden: true }'], ['new DataView(new ArrayBuffer(2))', '{ showHidden: true }'], ['new WeakSet([{ a: 1 }])', '{ showHidden: true }'], ['new WeakMap([[{ a: 1 }, "v"]])', '{ showHidden: true }'],
  ['({ b: 1, a: 2 })', '{ sorted: true }'], ['({ get a() { return 1 }, get b() { throw new Error("g") } })', '{ getters: true }'], ['new Proxy({ a: 1 }, { get() { throw 1 } })', '{ showProxy: true }'], ['({ a: 1, b: [1, 2] })', '{ compact: false }'], ['({ a: 1, s: "x" })', '{ colors: true }'],
  ['[123456789.12345]', '{ numericSeparator: true }'], ['({ a: 1, b: 2, c: 3 })', '{ breakLength: 5 }'], ['["a".repeat(20)]', '{ maxStringLength: 5 }'], ['new Error("e")', '{ showHidden: true }'], ['new (class A extends Map { get x() { return 1 } })', '{ showHidden: true }'], ['new Map([[1, 2]]).entries()', '{ showHidden: true }'],
];

// What stays different from Node 22, and why.
const DIFFERENT = new Map([
  ['({ get [Symbol.toStringTag]() { throw 1 } })', 'Node 22 lets the getter throw out of console.log; later releases do not'],
  ['({ get a() { return 1 }, get b() { throw new Error("g") } }) , { getters: true }', 'later releases show the whole error, not its message'],
]);

// In which cases (by a part of their names) another release of Node differs from Node 22, which is the reference:
// 18 and 20 print `byteLength: 4` for `[byteLength]: 4`, compress no stacks and fail on strange ones; 24 prints symbol
// keys without brackets.
const changedIn20 = ['ArrayBuffer', 'new Uint8Array(2) , { showHidden', '"stack", { get()', 'stack: { a: 1 }', 'd.js:2:2'];
const CHANGED = {
  18: [...changedIn20, 'length: 150', 'Symbol.toPrimitive'],
  20: changedIn20,
  24: ['[Symbol("s")]', '[Symbol.toStringTag]', 'inspect.custom', '"g"'],
};
const wholeTitlesChanged = nodeMajor < 20 ? ['console.table', 'console.table with columns'] : [];

const mayDiffer = (title, name) => DIFFERENT.has(name) || wholeTitlesChanged.includes(title) ||
  (CHANGED[nodeMajor] ?? []).some((part) => name.includes(part));

function nodeConsole(call) {
  let text = '';
  const out = new Writable({ write(chunk, _, done) { text += chunk; done(); } });
  call(new Console({ stdout: out, colorMode: false }));
  return text.replace(/\n$/, '');
}

const attempt = (fn) => {
  try {
    return fn();
  } catch (error) {
    return `threw ${error?.name}: ${error?.message}`;
  }
};

// The texts are made before the first test starts: node:test's hooks would leave their marks on promises.
const suites = [];

function compare(title, cases, ours, nodes) {
  suites.push([title, cases.map((each) => {
    const name = [each].flat().join(' , ');
    const job = jobRealm();
    job.run(prelude);
    const actual = attempt(() => ours(formatter(job), (code) => job.run(code), each));
    const limit = Error.stackTraceLimit;
    runHere(prelude);
    const expected = attempt(() => nodes((code) => runHere(code), each));
    Error.stackTraceLimit = limit;
    return { name, actual, expected };
  })]);
}

compare('one value', VALUES,
  (inspect, run, code) => inspect.format(run(`[${code}]`)),
  (run, code) => util.formatWithOptions({}, ...run(`[${code}]`)));
compare('several arguments', LISTS,
  (inspect, run, code) => inspect.format(run(code)),
  (run, code) => util.formatWithOptions({}, ...run(code)));
compare('console.table', TABLES,
  (inspect, run, code) => inspect.table(run(`(${code})`), undefined),
  (run, code) => nodeConsole((console) => console.table(run(`(${code})`))));
compare('console.table with columns', COLUMNS,
  (inspect, run, [code, columns]) => inspect.table(run(`(${code})`), run(columns)),
  (run, [code, columns]) => nodeConsole((console) => console.table(run(`(${code})`), run(columns))));
compare('console.dir', OPTIONS,
  (inspect, run, [code, options]) => inspect.dir(run(`(${code})`), run(`(${options})`)),
  (run, [code, options]) => nodeConsole((console) => console.dir(run(`(${code})`), run(`(${options})`))));

for (const [title, cases] of suites) {
  describe(title, () => {
    for (const { name, actual, expected } of cases) {
      it(name.length > 120 ? `${name.slice(0, 117)}...` : name, (t) => {
        if (actual !== expected && mayDiffer(title, name)) return t.skip(DIFFERENT.get(name) ?? `Node ${nodeMajor}`);
        return assert.equal(actual, expected);
      });
    }
  });
}

describe('what a job does to its built-ins', () => {
  const values = `[
    [1, 2, 3], new Map([[1, { a: 2 }]]), new Set([1]), new Uint8Array([1, 2]), /x/gi, new Date(0), new ArrayBuffer(2),
    new DataView(new ArrayBuffer(2)), Promise.resolve(1), new Map([[1, 2]]).entries(), function f() {}, class A {},
    new String('s'), Symbol('s'), { a: { b: { c: {} } } }, 'text', [new Error('e')].map((e) => (e.stack = 'Error: e', e))[0],
  ]`;
  const sabotage = `
    const refuse = () => { throw new Error('sabotage') };
    const prototypes = [Array, Map, Set, RegExp, Date, ArrayBuffer, DataView, Promise, Function, String, Number, Symbol,
      Object.getPrototypeOf(Uint8Array), Error].map((c) => c.prototype)
      .concat([new Map().entries(), new Set().values(), [].values()].map(Object.getPrototypeOf));
    const { defineProperty } = Object;
    const todo = prototypes.flatMap((prototype) => Reflect.ownKeys(prototype).map((key) => ({ prototype, key })))
      .filter(({ key }) => key !== 'constructor' && key !== Symbol.toStringTag);
    const descriptor = { __proto__: null, get: refuse };
    for (let i = 0; i < todo.length; i++) {
      try {
        defineProperty(todo[i].prototype, todo[i].key, descriptor);
      } catch {}
    }
    globalThis.Array = globalThis.Map = globalThis.Object = globalThis.Reflect = globalThis.RegExp = refuse;
  `;

  const sound = jobRealm();
  const expected = formatter(sound).format(sound.run(values));
  const job = jobRealm();
  const inspect = formatter(job);
  const made = job.run(values);
  job.run(sabotage);
  const actual = attempt(() => inspect.format(made));

  it('does not change what the console prints', () => {
    const unmarked = (text) => text.replace(/\[Symbol\((trigger_)?async_id_symbol\)\]: \d+/g, '');
    assert.equal(unmarked(actual), unmarked(expected));
  });
});

describe('the rest of the contract', () => {
  it('indents by a number of spaces', () => {
    const inspect = formatter();
    assert.equal(inspect.format(['a\nb'], 4), '    a\n    b');
    assert.equal(inspect.dir('x', undefined, 2), "  'x'");
    assert.match(inspect.table([1], undefined, 2), /^ {2}┌.*\n {2}│/);
  });

  it('passes on what a custom inspect function throws', () => {
    const job = jobRealm();
    const values = job.run('[{ [Symbol.for("nodejs.util.inspect.custom")]() { throw new TypeError("mine") } }]');
    assert.throws(() => formatter(job).format(values), { name: 'TypeError', message: 'mine' });
  });

  it('survives nests deeper than the stack', () => {
    const job = jobRealm();
    const value = job.run('(() => { let a = []; for (let i = 0; i < 1e5; i++) a = [a]; return a })()');
    assert.match(formatter(job).dir(value, { depth: Infinity }), /Maximum call stack size exceeded/);
  });

  it('runs no getter and no trap', () => {
    const job = jobRealm();
    const values = job.run(`
      const seen = [];
      const note = (name) => () => { seen.push(name) };
      const handler = {};
      for (const name of Reflect.ownKeys(Reflect)) handler[name] = note(name);
      const proxy = new Proxy({ a: 1 }, handler);
      [{ get href() { seen.push('href') }, get a() { seen.push('a') } }, proxy, [proxy], { proxy }]`);
    const inspect = formatter(job);
    inspect.format(values);
    inspect.format(['%s %o %O %j', values[1], values[1], values[1], 1]);
    inspect.dir(values[1], { showProxy: true, showHidden: true });
    inspect.table(values[1], undefined);
    inspect.table(values[2], undefined);
    assert.deepEqual([...job.run('seen')], []);
  });

  it('names the natives it lacks', () => {
    const natives = { ...inspectNatives() };
    delete natives.isMap;
    assert.throws(() => load('inspect', bareContext(), natives), /natives lacks isMap/);
  });

  it('formats without natives.errorPrototype', () => {
    const natives = { ...inspectNatives(), errorPrototype: undefined };
    assert.match(load('inspect', bareContext(), natives).format([new Error('e')]), /^Error: e\n/);
  });
});
