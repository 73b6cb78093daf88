"""What the differential test runs: kinds of scripts, each a template with random parameters.

Three sorts, by how they are made:

  @value     statements and an expression. How its value leaves (completion value, `return`, `await`, console, thrown,
             strict, after pollution by the script itself) is drawn as well.
  @script    a whole script, and fields of the job that go with it.
  @polluter  a script that leaves as much behind as it can. It ends by looking at what it did.

A script must not depend on the clock, on randomness without a seed, or on when garbage is collected; its own limits
must be far from what it needs. Everything newer than V8 10.2 is asked for before it is used.

In a template, @name@ stands for a parameter; what is no text is put in as JSON.
"""
import json
import random
import re

VALUES, SCRIPTS, POLLUTERS = {}, {}, {}
WEIGHTS, STATUSES = {}, {}


def _register(table, name, function, statuses, weight):
    if name in STATUSES:
        raise ValueError(f'two kinds are named {name}')
    table[name], STATUSES[name], WEIGHTS[name] = function, statuses, weight
    return function


def value(name, *statuses, weight=1.0):
    return lambda function: _register(VALUES, name, function, set(statuses or ('ok',)), weight)


def script(name, *statuses, weight=1.0):
    return lambda function: _register(SCRIPTS, name, function, set(statuses or ('ok',)), weight)


def polluter(name, *statuses, weight=1.5):
    return lambda function: _register(POLLUTERS, name, function, set(statuses or ('ok',)), weight)


def fill(template, **parameters):
    def one(match):
        given = parameters[match.group(1)]
        return given if isinstance(given, str) else json.dumps(given)
    return re.sub(r'@(\w+)@', one, template)


WORDS = ['alpha', 'beta', 'Größe', 'naïve', 'Ωmega', '東京', '😀', '👩‍👩‍👧', 'e\u0301', 'ﬁ', 'İ', 'ß', 'x y', '\t', 'a\nb', '"', "'", '`',
         '\\', '\u2028', '\u0000', '\ud800', '\udc00x', '', '0', '-0', '1e3', 'null', '__proto__', 'constructor', 'then']
NUMBERS = [0, 1, -1, 2, 7, 42, 255, 256, 1000, 65535, 2**31 - 1, -2**31, 2**32, 2**53 - 1, 0.1, 0.5, -1.5, 1e-7, 1e21,
           1.7976931348623157e308, 5e-324]
NAMES = ['a', 'b', 'count', 'item', 'total', 'key', 'Zeta', '$', '_x']


class Draw(random.Random):
    """Random pieces of JavaScript, as text."""

    def number(self):
        return json.dumps(self.choice(NUMBERS) if self.random() < 0.6 else round(self.uniform(-1e4, 1e4), 3))

    def small(self, low=1, high=20):
        return str(self.randint(low, high))

    def word(self):
        return self.choice(WORDS) + (self.choice(WORDS) if self.random() < 0.4 else '')

    def string(self):
        return json.dumps(self.word())

    def primitive(self):
        return self.choice([self.number, self.number, self.string, self.string, lambda: 'true', lambda: 'null',
                            lambda: 'undefined', lambda: f'{self.randint(-10**20, 10**20)}n', lambda: 'NaN',
                            lambda: '-0', lambda: 'Infinity', lambda: f'Symbol({self.string()})'])()

    def data(self, depth=2):
        """A JSON value's literal."""
        choice = self.random()
        if depth == 0 or choice < 0.4:
            return self.choice([self.number, self.string, lambda: 'true', lambda: 'null'])()
        if choice < 0.7:
            return '[' + ', '.join(self.data(depth - 1) for _ in range(self.randint(0, 5))) + ']'
        keys = self.sample(NAMES, self.randint(0, 4))
        return '{' + ', '.join(f'{key}: {self.data(depth - 1)}' for key in keys) + '}'

    def any_value(self, depth=2):
        """A literal of any kind, for the console."""
        if depth == 0 or self.random() < 0.3:
            return self.primitive()
        inner = lambda: self.any_value(depth - 1)
        return self.choice([
            lambda: f'[{inner()}, , {inner()}]', lambda: f'{{a: {inner()}, "b c": {inner()}}}',
            lambda: f'new Map([[{inner()}, {inner()}]])', lambda: f'new Set([{inner()}, {inner()}])',
            lambda: 'function named(a, b) {}', lambda: 'class Klass extends Array {}', lambda: '() => {}',
            lambda: 'async function* gen() {}', lambda: f'new Date({self.randint(-10**12, 10**13)})', lambda: 'new Date(NaN)',
            lambda: '/a+(?<n>b)/giu', lambda: f'Promise.resolve({self.data(1)})', lambda: 'new Promise(() => {})',
            lambda: 'new WeakMap()', lambda: f'Object.create(null, {{x: {{value: {self.number()}, enumerable: true}}}})',
            lambda: f'new Uint8Array({self.small()})', lambda: 'new Float64Array([1.5, NaN, -0])',
            lambda: f'new ArrayBuffer({self.small()})', lambda: f'new Proxy({{p: {self.number()}}}, {{}})',
            lambda: f'Object(Symbol({self.string()}))', lambda: f'new (class Foo {{ x = {inner()}; #y = 1 }})()',
            lambda: f'{{get g() {{ return 1 }}, set s(v) {{}}, [Symbol("k")]: {inner()}}}',
            lambda: f'Object.assign([1, 2], {{extra: {inner()}}})', lambda: 'new Map([[1, 2]]).entries()',
            lambda: f'new Boolean(false)', lambda: f'Object("text")', lambda: '(function () { return arguments })(1, 2)',
            lambda: 'globalThis.Math', lambda: f'[{", ".join(self.number() for _ in range(self.randint(5, 130)))}]',
            lambda: f'{{{", ".join(f"k{i}: {i}" for i in range(self.randint(5, 40)))}}}',
            lambda: f'new Error({self.string()}).message', lambda: 'new URL("https://u:p@example.com:81/a?b=c#d")',
            lambda: '(() => { const o = {name: "self"}; o.me = o; return o })()'])()


# ---- values: the language


@value('arithmetic')
def _(r):
    steps = ''.join(f'x = {expr};' for expr in (r.choice([
        f'x + {r.number()}', f'x * {r.number()}', f'{r.number()} - x', f'x / ({r.number()} || 3)', f'x % 97', 'Math.trunc(x)',
        'Math.hypot(x, 3)', 'Math.sqrt(Math.abs(x))', 'Math.fround(x)', 'x | 0', 'x >>> 3', 'x << 5', 'Math.imul(x, 31)',
        '~x', 'Math.cbrt(x)', 'Math.sin(x)', 'Math.log1p(Math.abs(x))', '-x', 'x ** 2', 'Math.clz32(x)']) for _ in range(12)))
    return fill('let x = @a@; const seen = []; @steps@ seen.push(x, 1 / x);', a=r.number(), steps=steps), 'seen'


@value('number formatting')
def _(r):
    return fill('const n = @n@;', n=r.number()), fill(
        '[n.toString(@radix@), n.toFixed(@f@), n.toExponential(@f@), n.toPrecision(@p@), String(n), +`${n}`, Number.parseFloat(n + "px"), parseInt("@digits@", @radix@)]',
        radix=r.small(2, 36), f=r.small(0, 20), p=r.small(1, 30), digits=str(r.randint(0, 10**9)))


@value('strings')
def _(r):
    return fill('const s = @a@ + @b@.repeat(@n@), t = @c@;', a=r.string(), b=r.string(), n=r.small(0, 5), c=r.string()), \
        r.choice(['[s.length, [...s].length, s.slice(-3), s.at(-1), s.padStart(12, t), s.split(t), s.indexOf(t)]',
                  '[s.toUpperCase(), s.toLowerCase(), s.normalize("NFD"), s.normalize("NFKC"), s.trim()]',
                  '[s.codePointAt(1), s.charCodeAt(0), s.replaceAll("a", (m, at) => at), s.includes(t), s.localeCompare(t)]',
                  '[s.substring(3, 1), s.concat(t, 1, null), s.lastIndexOf("a"), s.startsWith(t), s.endsWith(t), s < t]',
                  '[escape(s), s.anchor("x"), s.search(/./u), s.match(/\\w/g), encodeURIComponent(t.isWellFormed?.() === false ? "" : "ok")]'])


@value('surrogates')
def _(r):
    return fill('const s = "\\ud83d\\ude00\\ud800" + @a@ + "\\udfff";', a=r.string()), \
        '[s, s.length, [...s].map((c) => c.codePointAt(0).toString(16)), s.isWellFormed?.(), s.toWellFormed?.(), s.split(""), JSON.stringify(s)]'


@value('regular expressions')
def _(r):
    source = r.choice(['(\\\\d+)-(?<w>\\\\w+)', '^.*?(a|b)+$', '(?<=\\\\$)\\\\d+(?:\\\\.\\\\d\\\\d)?', '\\\\p{Lu}\\\\p{L}*', '(.)\\\\1', '[^\\\\x00-\\\\x7f]+',
                       '(?<year>\\\\d{4})-(?<month>\\\\d\\\\d)', '(?=x)x|y(?!z)', '\\\\b\\\\w{2,4}\\\\b'])
    return fill('const re = new RegExp("@source@", "@flags@"); const text = @text@ + " 12-ab $34.56 Éva 2024-05 aabb xyz " + @more@;'
                'const found = [...text.matchAll(new RegExp(re, "gu"))].map((m) => [m.index, ...m, {...m.groups}]);',
                source=source, flags=r.choice(['u', 'iu', 'su', 'mu', 'du']), text=r.string(), more=r.string()), \
        '[found, text.replace(re, "<$&>"), text.split(re).length, re.lastIndex, String(re), re.test(text), RegExp.lastMatch, RegExp.$1]'


@value('sticky and global expressions')
def _(r):
    return fill('const re = /@p@/@f@; re.lastIndex = @i@; const out = []; let m, guard = 0; while ((m = re.exec("aXbXXcab1")) && guard++ < 9) { out.push([m[0], m.index, re.lastIndex]); if (!m[0]) re.lastIndex++; }',
                p=r.choice(['X', '[ab]', '(?:)', 'X*', '\\d']), f=r.choice(['g', 'y', 'gy', 'giy']), i=r.small(0, 5)), 'out'


@value('dates')
def _(r):
    return fill('const d = new Date(@ms@);', ms=str(r.randint(-8 * 10**13, 8 * 10**13))), r.choice([
        '[d.toISOString(), d.toString(), d.getTimezoneOffset(), d.getDay(), d.toJSON(), +d]',
        '[d.toLocaleString(), d.toLocaleDateString("de-DE"), d.toLocaleTimeString("en-US", {timeZone: "Asia/Tokyo"}), d.toUTCString()]',
        '[new Date(d.setMonth(14)).toISOString(), d.getHours(), d.setUTCHours(25, 61), new Date(2024, 1, 30).getTime()]',
        fill('[Date.parse(@a@), Date.UTC(@y@, 13, -1), new Date(@a@).getTime(), new Date("2024-02-30") + ""]',
             a=json.dumps(r.choice(['2024-05-06', '2024-05-06T07:08:09.123+02:00', 'May 6, 2024 10:00', 'Tue Mar 01 2022', 'nonsense', '2024-13-01'])),
             y=r.small(0, 2100))])


@value('Intl numbers and dates')
def _(r):
    return fill('const n = @n@, l = "@locale@", d = new Date(@ms@);', n=r.number(), ms=str(r.randint(0, 4 * 10**12)),
                locale=r.choice(['en-US', 'de-DE', 'ja-JP', 'ar-EG', 'hi-IN', 'fr', 'pt-BR'])), r.choice([
        '[new Intl.NumberFormat(l, {style: "currency", currency: "EUR"}).format(n), n.toLocaleString(l), new Intl.NumberFormat(l, {notation: "compact"}).format(n)]',
        '[new Intl.DateTimeFormat(l, {dateStyle: "full", timeStyle: "long", timeZone: "America/New_York"}).format(d), new Intl.DateTimeFormat(l).resolvedOptions()]',
        'new Intl.DateTimeFormat(l, {weekday: "long", era: "short", hour: "numeric", timeZone: "Europe/Berlin"}).formatToParts(d)'])


@value('Intl words')
def _(r):
    return fill('const l = "@locale@";', locale=r.choice(['en', 'de', 'sv', 'tr', 'zh', 'pl'])), r.choice([
        fill('["ä", "z", "a", "Z", "ö", @a@].sort(new Intl.Collator(l, {numeric: true}).compare)', a=r.string()),
        fill('[new Intl.PluralRules(l, {type: "ordinal"}).select(@n@), new Intl.RelativeTimeFormat(l, {numeric: "auto"}).format(-@n@, "day"), new Intl.ListFormat(l).format(["a", "b", "c"])]', n=r.small(0, 30)),
        fill('[...new Intl.Segmenter(l, {granularity: "@g@"}).segment("Hello, 世界! 👩‍👩‍👧 x.")].map((s) => s.segment)', g=r.choice(['word', 'grapheme', 'sentence'])),
        '[new Intl.DisplayNames(l, {type: "region"}).of("JP"), "I".toLocaleLowerCase(l), "i".toLocaleUpperCase(l), Intl.getCanonicalLocales("EN-us")]'])


@value('JSON')
def _(r):
    return fill('const v = @v@;', v=r.data(3)), r.choice([
        fill('JSON.stringify(v, null, @n@)', n=r.small(0, 10)),
        'JSON.parse(JSON.stringify(v), (k, x) => typeof x === "number" ? x * 2 : x)',
        'JSON.stringify({v, u: undefined, f() {}, d: new Date(0), n: NaN, b: Object(1), s: Symbol()}, (k, x) => k === "a" ? undefined : x)',
        'JSON.stringify([v], ["a", "item", 0], "··")',
        fill('(() => { try { return JSON.parse(@bad@) } catch (e) { return e.name + e.message } })()',
             bad=json.dumps(r.choice(['{', '[1,]', '{"a":1,}', 'nul', '"\\u12"', '01', '', '{"a":1} x', '[1 2]'])))])


@value('Map and Set')
def _(r):
    keys = ', '.join(r.primitive() for _ in range(8))
    return fill('const keys = [@keys@], m = new Map(), s = new Set(keys); keys.forEach((k, i) => m.set(k, i)); m.delete(keys[@i@]); for (const k of s) { if (s.size < 15 && typeof k === "number") s.add(k + 0.25 > 9 ? "end" : k + 0.25); }',
                keys=keys, i=r.small(0, 7)), \
        '[m.size, [...m.values()], s.size, [...s].map((k) => typeof k), m.has(NaN), m.has(-0), s.union?.(new Set([1])).size, Map.groupBy?.(keys, (k) => typeof k).size]'


@value('weak collections')
def _(r):
    return fill('const keep = [], w = new WeakMap(), ws = new WeakSet(); for (let i = 0; i < @n@; i++) { const o = {i}; w.set(o, i * 2); if (i % 3) { ws.add(o); keep.push(o); } }', n=r.small(1, 500)), \
        '[keep.reduce((a, o) => a + w.get(o), 0), keep.every((o) => ws.has(o)), w.has({}), (() => { try { w.set(1, 1) } catch (e) { return e.message } })(), new WeakRef(keep).deref() === keep]'


@value('typed arrays')
def _(r):
    array = r.choice(['Int8Array', 'Uint8Array', 'Uint8ClampedArray', 'Int16Array', 'Uint16Array', 'Int32Array', 'Uint32Array',
                      'Float32Array', 'Float64Array'])
    return fill('const t = @T@.from([@v@]); t.set([1, 2], 1); const part = t.subarray(1, 4); part[0] = @n@;', T=array,
                v=', '.join(r.number() for _ in range(7)), n=r.number()), \
        '[t, [...part], t.map((x) => x * 2), t.slice().sort(), t.indexOf(2), t.join("|"), t.byteLength, t.toReversed?.(), t.copyWithin(0, 3), t.at(-1), Object.prototype.toString.call(t)]'


@value('BigInt arrays')
def _(r):
    return fill('const t = new Big@s@Array([@a@n, @b@n]); t[0] -= 1n;', s=r.choice(['Int64', 'Uint64']), a=str(r.randint(-2**64, 2**65)), b=str(r.randint(0, 99))), \
        '[...t].map(String).concat(t.length)'


@value('DataView')
def _(r):
    return fill('const b = new ArrayBuffer(32), v = new DataView(b, 4); v.setFloat64(0, @a@, @le@); v.setInt16(8, @b@); v.setBigUint64(16, @c@n, true);',
                a=r.number(), b=r.small(0, 70000), c=str(r.randint(0, 2**64 - 1)), le=r.random() < 0.5), \
        '[[...new Uint8Array(b)], v.getUint32(2), v.getFloat32(6, true), String(v.getBigInt64(12)), (() => { try { return v.getInt8(99) } catch (e) { return e.message } })()]'


@value('ArrayBuffer resized and transferred')
def _(r):
    return fill('const b = new ArrayBuffer(@n@, {maxByteLength: 64}); const t = new Uint8Array(b); t.fill(@f@); const out = [b.resizable]; if (b.resizable) { b.resize(@m@); out.push(t.length); } if (b.transfer) { const c = b.transfer(@k@); out.push(c.byteLength, b.detached, t.length, c.resizable); }',
                n=r.small(1, 64), f=r.small(0, 255), m=r.small(0, 64), k=r.small(0, 64)), 'out'


@value('BigInt', 'ok', 'error')
def _(r):
    return fill('const a = @a@n, b = @b@n;', a=str(r.randint(-10**40, 10**40)), b=str(r.randint(1, 10**18))), r.choice([
        '[a + b, a * b, a / b, a % b, -a, a ** 3n].map(String)', 'a * a - b', '[a & b, a | b, a ^ b, a >> 7n, a << 3n, ~a].map((x) => x.toString(16))',
        '[BigInt.asUintN(64, a), BigInt.asIntN(8, a)].map(String).concat(a > b, a == b, typeof a, Number(a))',
        '(() => { try { return a + 1 } catch (e) { return e.message } })()'])


@value('generators', 'ok', 'error')
def _(r):
    return fill('const log = []; function* g(n) { try { for (let i = 0; i < n; i++) { const got = yield i * @k@; if (got) log.push(got); } return "done"; } finally { log.push("finally"); yield "late"; } } function* outer() { const x = yield* g(@n@); log.push(x); yield* [7, 8]; } const it = outer(); const seen = [it.next(), it.next("in")];',
                k=r.small(), n=r.small(0, 5)), \
        r.choice(['[seen, [...it], log]', '[seen, it.return(5), it.next(), it.next(), log]', '[seen, (() => { try { return it.throw(new Error("x")) } catch (e) { return e.message } })(), [...it], log]'])


@value('iterators')
def _(r):
    return fill('const closed = []; const source = {*[Symbol.iterator]() { try { for (let i = 0; ; i++) yield i; } finally { closed.push("closed"); } }}; const [a, , b, ...none] = (function* () { yield* [1, 2, 3]; })(); for (const x of source) { if (x > @n@) break; if (x % 2) continue; closed.push(x); } const [first] = source;', n=r.small()), \
        '[a, b, none, first, closed, typeof Iterator === "function" ? Iterator.from(source).filter((x) => x % 3 == 0).map((x) => x * x).take(4).toArray() : 0, Object.entries([..."ab"].entries().next())]'


@value('classes')
def _(r):
    return fill('const log = []; class A { static #count = 0; #x; static { log.push("static"); } y = log.push("field"); constructor(x) { this.#x = x; A.#count++; } get x() { return this.#x; } set x(v) { this.#x = v * 2; } #secret() { return this.#x + 1; } reveal() { return this.#secret(); } static is(o) { return #x in o; } static get count() { return A.#count; } toString() { return `A(${this.#x})`; } } class B extends A { constructor() { super(@n@); this.z = new.target.name; } reveal() { return super.reveal() + 100; } } const b = new B(); b.x = @m@;',
                n=r.number(), m=r.number()), \
        '[b, b.x, b.reveal(), A.is(b), A.is({}), A.count, `${b}`, log, (() => { try { A.prototype.reveal.call({}) } catch (e) { return e.message } })(), Object.getOwnPropertyNames(B.prototype)]'


@value('proxies and Reflect')
def _(r):
    trap = r.choice(['get', 'has', 'set', 'deleteProperty', 'ownKeys', 'getOwnPropertyDescriptor', 'defineProperty'])
    return fill('const log = []; const p = new Proxy({a: @n@, b: 2}, {@trap@(...args) { log.push("@trap@", String(args[1])); return Reflect.@trap@(...args); }}); p.a; "a" in p; p.c = 3; delete p.b; const keys = Object.keys(p); const copy = {...p}; const f = new Proxy(function (a) { return a; }, {apply: (t, self, args) => args.length, construct: () => ({made: true})});',
                n=r.data(1), trap=trap), \
        '[log, keys, copy, f(1, 2, 3), new f(), Reflect.ownKeys({b: 1, 2: 2, [Symbol.iterator]: 3, 1: 1}).map(String), Reflect.construct(Date, [0]).toISOString(), Array.isArray(new Proxy([], {}))]'


@value('symbols')
def _(r):
    return fill('const s = Symbol(@a@), o = {[s]: 1, [Symbol.toPrimitive](hint) { return hint === "number" ? @n@ : hint; }, get [Symbol.toStringTag]() { return "Custom"; }};', a=r.string(), n=r.number()), \
        '[String(s), s.description, +o, `${o}`, o + "", Object.prototype.toString.call(o), Symbol.for("k") === Symbol.for("k"), Symbol.keyFor(Symbol.for("k")), Symbol.keyFor(s), Object.getOwnPropertySymbols(o).length, [].concat({length: 2, 0: "a", [Symbol.isConcatSpreadable]: true})]'


@value('destructuring')
def _(r):
    return fill('const {a = 1, b: {c = @d@, ...rest} = {}, ...others} = {b: {x: @v@}, z: @w@}; let x = 1, y = 2; [x, y] = [y, x]; const f = ({p, q = p} = {p: 5}, [r, ...s] = "abc") => [p, q, r, s];', d=r.primitive(), v=r.data(1), w=r.data(1)), \
        '[a, typeof c, rest, others, x, y, f(), f({p: 1}, new Set([1, 2, 3])), (() => { try { const {n} = null } catch (e) { return e.message } })()]'


@value('closures and loops')
def _(r):
    return fill('const fs = []; for (let i = 0; i < @n@; i++) fs.push(() => i++); var gs = []; for (var j = 0; j < 3; j++) gs.push(() => j); const counter = ((n) => ({inc: (by = 1) => (n += by), get n() { return n; }}))(@n@); counter.inc(); counter.inc(5);', n=r.small()), \
        '[fs.map((f) => f() + f()), gs.map((g) => g()), counter.n, (function f(n) { return n < 2 ? 1 : n * f(n - 1); })(12)]'


@value('labels')
def _(r):
    return fill('const out = []; outer: for (let i = 0; i < 9; i++) { inner: for (let j = 0; j < 9; j++) { if (j === @a@) continue outer; if (i === @b@) break outer; if ((i + j) % 3) continue inner; out.push(i * 10 + j); } } block: { if (out.length) break block; out.push("never"); } switch (@a@) { case 1: out.push("one"); case 2: out.push("two"); break; default: out.push("other"); }', a=r.small(0, 8), b=r.small(0, 8)), 'out'


@value('eval and Function')
def _(r):
    return fill('var outer = @n@; function f() { var outer = "inner"; return [eval("outer"), (0, eval)("typeof outer"), new Function("a", "b = 2", "return a + b")(@n@), eval("var late = 1; late + 1"), late]; }', n=r.number()), \
        '[f(), eval("({a: 1})"), eval("1;;;{}"), (() => { try { eval("let 1") } catch (e) { return e.name + ": " + e.message } })(), new Function("return this === globalThis")(), Function("a,b", "c", "return 1").toString()]'


@value('getters and setters')
def _(r):
    return fill('const o = {_v: @v@, get v() { return [this._v, "got"]; }, set v(x) { this._v = [x]; }}; const child = Object.create(o, {own: {get: () => 1, enumerable: @e@}}); child.v = 5; Object.defineProperty(o, "fixed", {value: 1});', v=r.data(1), e=r.random() < 0.5), \
        '[o.v, child.v, child, {...child}, Object.keys(child), Object.getOwnPropertyDescriptors(o).v.set.length, (() => { "use strict"; try { o.fixed = 2 } catch (e) { return e.message } })(), Object.entries(o).length]'


@value('tagged templates')
def _(r):
    return fill('const tag = (s, ...v) => [s, s.raw, v]; const again = () => ((s) => s)`x`; const x = @v@;', v=r.data(1)), \
        '[tag`a${x}\\n${1 + 1}\\u0041`, String.raw`\\n${x}`, again() === again(), tag`\\unicode`[0], `${[1, [2, 3]]}${{}}`]'


@value('sorting')
def _(r):
    return fill('const items = Array.from({length: @n@}, (_, i) => ({k: (i * @m@) % 7, i})); const before = items.length; items.sort((a, b) => a.k - b.k);', n=r.small(5, 600), m=r.small(1, 50)), \
        '[before, items.map((o) => o.k * 1000 + o.i).join(), items.every((o, i) => !i || items[i - 1].k < o.k || items[i - 1].i < o.i), [3, , undefined, 1, "10", 9].sort(), [5, 1, 4].toSorted?.((a, b) => b - a)]'


@value('array holes')
def _(r):
    return fill('const a = [1, , 3, , @v@]; a[@n@] = "far"; delete a[0];', v=r.data(1), n=r.small(5, 30)), \
        '[a, a.length, Object.keys(a), a.map((x) => 1), a.findIndex((x) => x === undefined), a.flat(), JSON.stringify(a), a.includes(undefined), a.indexOf(undefined), [...a].length, a.lastIndexOf(3), 0 in a]'


@value('array methods')
def _(r):
    return fill('const a = @v@, log = [];', v='[' + ', '.join(r.data(1) for _ in range(6)) + ']'), \
        '[a.reduceRight((x, y, i) => x + i, ""), a.splice(1, 2, "n"), a, a.fill("f", -1), a.flatMap((x, i) => [i, x]), Array.of(7).concat(a, [[1]]), a.copyWithin(0, 1), a.findLast?.((x) => x), a.with?.(0, "w"), Object.groupBy?.(a, (x) => typeof x), Array.from("ab", (c, i) => c + i), a.at(-1), a.toString()]'


@value('objects')
def _(r):
    return fill('const o = @v@, base = {inherited: 1};', v='{' + ', '.join(f'{json.dumps(k)}: {r.data(1)}' for k in r.sample(NAMES + ['10', '2', '-1', '01'], 5)) + '}'), \
        '[Object.entries(o), Object.fromEntries(Object.entries(o).reverse()), Object.isFrozen(Object.freeze(o)), Object.setPrototypeOf({...o}, base).inherited, (() => { const ks = []; for (const k in Object.create(base, {own: {enumerable: true}})) ks.push(k); return ks; })(), Object.is(-0, 0), Object.hasOwn(o, "a"), structuredClone(o)]'


@value('Function.prototype.toString')
def _(r):
    return fill('const f = @f@;', f=r.choice(['function  spaced ( a,b ) { /* c */ return a }', '(a) =>  a', 'async  function* g() { yield 1 }', 'class K { m ( ) {} static #p = 1 }', '{ get x ( ) { return 1 } }', 'Math.max', 'console.log', 'setTimeout', 'Array.prototype.map.bind([])', 'URL', 'structuredClone', 'TextEncoder.prototype.encode', 'Intl.Collator'])), \
        '[String(typeof f === "object" ? Object.getOwnPropertyDescriptor(f, "x").get : f), f.name, f.length, typeof f, Object.getOwnPropertyNames(f)]'


@value('with, arguments, this')
def _(r):
    return fill('function sloppy(a) { arguments[0] = @n@; return [a, arguments.length, typeof this]; } function strict(a) { "use strict"; arguments[0] = 9; return [a, typeof this]; } const w = new Function("o", "with (o) { return typeof a + b }");', n=r.number()), \
        '[sloppy(1, 2), strict(1), sloppy.call("s"), w({a: 1, b: 2}), (() => { try { return strict.caller } catch (e) { return e.message } })(), (function () { return delete arguments[0]; })(1)]'


@value('seeded Math.random', weight=1.5)
def _(r):
    return fill('const xs = Array.from({length: @n@}, Math.random);', n=r.small(1, 200)), '[xs.slice(0, 3), xs.reduce((a, b) => a + b), Math.floor(Math.random() * 1e6)]'


@value('crypto by shape')
def _(r):
    return fill('const u = crypto.randomUUID(), v = crypto.getRandomValues(new Uint16Array(@n@));', n=r.small(8, 1000)), \
        '[/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/.test(u), v.length, v.some((x) => x), crypto.randomUUID() !== u, String(crypto), (() => { try { crypto.getRandomValues(new Float32Array(1)) } catch (e) { return [e.name, e.message, e.code, e instanceof DOMException] } })()]'


# ---- values: what is no ECMAScript


@value('structuredClone')
def _(r):
    return fill('const src = {v: @v@, d: new Date(@ms@), m: new Map([[{k: 1}, new Set([1])]]), e: new RangeError("x"), r: /a/gi, b: new Uint8Array([1, 2]).buffer, n: 5n}; src.self = src; const c = structuredClone(src);', v=r.data(2), ms=r.small(0, 10**9)), \
        '[c !== src, c.self === c, c.v, c.d, [...c.m.keys()], c.e.name, c.e.message, String(c.r), c.b.byteLength, String(c.n), (() => { try { structuredClone(() => {}) } catch (e) { return [e.name, e.message, e.code] } })(), structuredClone(src.b, {transfer: [src.b]}).byteLength, src.b.byteLength]'


@value('URL')
def _(r):
    url = r.choice(['https://user:pa%20ss@EXAMPLE.com:8080/a/../b/./c?x=1&y=ü#frag', 'http://münchen.de/ä', 'file:///C:/a|b', 'http://[::1]:80/',
                    'data:text/plain,hi there', 'http://192.168.0.1.:99/', 'javascript:alert(1)', 'https://日本.jp/?q=%zz', 'blob:https://a/b', 'http://0x7f.1/'])
    return fill('const u = new URL(@rel@, @url@); const view = {...Object.fromEntries(["href", "origin", "protocol", "username", "password", "host", "hostname", "port", "pathname", "search", "hash"].map((k) => [k, u[k]]))}; u.searchParams.append("k", @s@); u.hash = @s@; u.port = "@port@";',
                url=json.dumps(url), rel=json.dumps(r.choice(['', '?q', '#h'])) if not url.startswith(('data', 'javascript', 'blob')) else json.dumps(url), s=json.dumps(r.choice(['a b', 'ü&=', '+', '#'])), port=r.choice(['80', '443', '9', 'x'])), \
        '[view, u.href, String(u.searchParams), JSON.stringify(u), URL.canParse?.("x:"), (() => { try { new URL("//") } catch (e) { return [e.name, e.message, e.code] } })()]'


@value('URLSearchParams')
def _(r):
    return fill('const p = new URLSearchParams(@v@); p.append("z", @s@); p.set("a", "1"); p.sort();', s=json.dumps(r.choice(WORDS[:20])),
                v=r.choice(['"?a=1&b=2&a=3&c=%F0%9F%98%80&d"', '{a: 1, "b c": "d&e"}', '[["x", "1"], ["x", "2"]]', 'new Map([["m", "n"]])', '"=x&&y="'])), \
        '[String(p), [...p], p.get("a"), p.getAll("x"), p.has("zz"), p.size, p.delete("z"), [...p.keys()]]'


@value('text coding')
def _(r):
    return fill('const s = @a@ + "é😀\\ud800"; const b = new TextEncoder().encode(s); const into = new Uint8Array(@n@); const d = new TextDecoder("@label@");', a=r.string(), n=r.small(1, 12),
                label=r.choice(['utf-8', 'utf-16le', 'latin1', 'utf-16be', 'windows-1252', 'shift_jis', 'gb18030', 'euc-kr', 'iso-8859-2'])), \
        '[[...b], {...new TextEncoder().encodeInto(s, into)}, [...into], d.encoding, d.decode(b), d.decode(new Uint8Array([0xef, 0xbb, 0xbf, 65, 0xff, 0xfe]).buffer), (() => { try { new TextDecoder("utf-8", {fatal: true}).decode(new Uint8Array([0xff])) } catch (e) { return [e.name, e.message] } })(), (() => { try { new TextDecoder("x") } catch (e) { return e.name } })()]'


@value('base64')
def _(r):
    return fill('const s = @a@; const t = (f, x) => { try { return f(x) } catch (e) { return [e.name, e.message, e.code, String(e)] } };', a=json.dumps(''.join(chr(r.randint(0, 255)) for _ in range(r.randint(0, 50))))), \
        fill('[btoa(s), atob(btoa(s)) === s, t(atob, @b@), t(btoa, "€"), t(atob, " aGk = "), t(atob), btoa(null)]', b=json.dumps(r.choice(['!!!!', 'YQ', 'YQ==', 'YQ=', 'Y', 'YWJj\n', '===='])))


@value('WebAssembly')
def _(r):
    # (module (memory (export "m") 1 N) (func (export "f") (param i32 i32) (result i32) local.get 0 local.get 1 OP))
    op = r.choice([0x6a, 0x6b, 0x6c, 0x6d, 0x6f, 0x71, 0x73, 0x74])
    return fill('const bytes = new Uint8Array([0,97,115,109,1,0,0,0, 1,7,1,96,2,127,127,1,127, 3,2,1,0, 5,4,1,1,1,@max@, 7,9,2,1,109,2,0,1,102,0,0, 10,9,1,7,0,32,0,32,1,@op@,11]); const module = new WebAssembly.Module(bytes); const {f, m} = new WebAssembly.Instance(module).exports; const t = (...a) => { try { return f(...a) } catch (e) { return [e.name, e.message] } };', op=str(op), max=r.small(2, 100)), \
        fill('[t(@a@, @b@), t(2147483647, 2), t(-5, 0), WebAssembly.Module.exports(module), m.buffer.byteLength, m.grow(1), m.buffer.byteLength, String(f), (() => { try { m.grow(1000) } catch (e) { return e.name } })(), WebAssembly.validate(bytes.slice(0, -1)), (() => { try { new WebAssembly.Module(new Uint8Array([0, 97])) } catch (e) { return [e.name, e.message] } })()]', a=r.small(-99, 99), b=r.small(0, 9))


@value('WebAssembly with imports')
def _(r):
    # (module (import "e" "g" (func (param i32) (result i32))) (global (export "x") (mut i32) i32.const N) (func (export "f") (param i32) (result i32) local.get 0 call 0))
    return fill('const calls = []; const bytes = new Uint8Array([0,97,115,109,1,0,0,0, 1,6,1,96,1,127,1,127, 2,7,1,1,101,1,103,0,0, 3,2,1,0, 6,6,1,127,1,65,@n@,11, 7,9,2,1,120,3,0,1,102,0,1, 10,8,1,6,0,32,0,16,0,11]); const run = (g) => { try { const i = new WebAssembly.Instance(new WebAssembly.Module(bytes), {e: {g}}); i.exports.x.value += 5; return [i.exports.f(7), i.exports.x.value] } catch (e) { return [e.name, e.message] } };', n=r.small(0, 63)), \
        '[run((x) => { calls.push(x); return x * 3; }), run(() => { throw new TypeError("from JS"); }), run(() => 5n), run(1), run(), calls]'


@value('Atomics')
def _(r):
    return fill('const t = new Int32Array(new SharedArrayBuffer(16)); const out = []; for (let i = 0; i < @n@; i++) out.push(Atomics.add(t, i % 4, i));', n=r.small(1, 50)), \
        '[out, [...t], Atomics.compareExchange(t, 0, t[0], -1), Atomics.exchange(t, 1, 8), Atomics.load(t, 1), Atomics.or(t, 2, 3), Atomics.wait(t, 3, t[3], 2), Atomics.wait(t, 3, t[3] + 1), Atomics.notify(t, 0), Atomics.isLockFree(4), Atomics.store(t, 0, -0)]'


@value('globals and their attributes')
def _(r):
    return 'const d = (o, k) => { const p = Object.getOwnPropertyDescriptor(o, k); return p && [typeof p.value, typeof p.get, p.writable, p.enumerable, p.configurable]; };', r.choice([
        'Object.getOwnPropertyNames(globalThis).sort().map((k) => [k, d(globalThis, k)])', 'Object.getOwnPropertyNames(console).map((k) => [k, d(console, k), console[k].name, console[k].length])',
        'Reflect.ownKeys(Object.prototype).concat(Reflect.ownKeys(Array.prototype), Reflect.ownKeys(Promise), Reflect.ownKeys(Error), Reflect.ownKeys(Symbol)).map(String)',
        '[Object.isFrozen(Object), Object.isExtensible(globalThis), Error.stackTraceLimit, typeof Error.prepareStackTrace, [] instanceof Array, String(globalThis), Array.prototype.length, Function.prototype()]',
        '["Object", "Function", "Array", "String", "RegExp", "Promise", "Map", "Date", "Error", "Intl", "JSON", "Reflect", "Math", "Atomics", "WebAssembly", "URL", "TextDecoder", "crypto"].map((n) => { const o = globalThis[n]; return [n, Reflect.ownKeys(o).map(String), o.prototype ? Reflect.ownKeys(o.prototype).map(String) : null]; })'])


@value('hot code')
def _(r):
    return fill('function f(a, b) { return a * @k@ + (b | 0); } let s = 0; for (let i = 0; i < @n@; i++) s = f(s, i) % 1000003; const before = s; const g = (o) => o.x + o.y; let t = 0; for (let i = 0; i < @n@; i++) t += g(i % 100 ? {x: i, y: 1} : {y: "s", x: 2}).length ?? 1;', n=r.small(5000, 60000), k=r.small(2, 99)), '[before, t, f("3", "4")]'


@value('garbage')
def _(r):
    return fill('let kept = []; for (let i = 0; i < @n@; i++) { const o = {i, s: "s" + i, a: [i, i]}; if (i % 1000 === 0) kept.push(o); }', n=r.small(1000, 60000)), '[kept.length, kept.at(-1), kept.reduce((a, o) => a + o.i, 0)]'


@value('big strings')
def _(r):
    return fill('let s = @a@; while (s.length < @n@) s += s + "x"; const parts = s.split("x");', a=json.dumps(r.choice(['ab', 'é', '😀', '0'])), n=r.small(1000, 200000)), '[s.length, parts.length, s.slice(500, 510), [...s].reduce((h, c) => (h * 31 + c.codePointAt(0)) % 1000003, 7)]'


# ---- how a value leaves, and what a script does to itself before


TAMPERING = [
    'Array.prototype[Symbol.iterator] = function* () { yield "tampered"; };', 'Array.prototype.map = () => "map";', 'Object.prototype.extra = "extra";',
    'Object.prototype.toJSON = function () { return "toJSON"; };', 'Object.prototype.then = function (f) { f("then"); };', 'JSON.stringify = () => "fake";',
    'globalThis.Promise = class P {};', 'Promise.prototype.then = function () { throw new Error("then"); };', 'RegExp.prototype.exec = () => null;',
    'Error.prepareStackTrace = (e, frames) => "frames " + frames.length;', 'Error.stackTraceLimit = 1;', 'Error.prototype.name = "Renamed";', 'String.prototype.split = () => ["split"];',
    'Object.freeze(Object.prototype); Object.freeze(Array.prototype);', 'Symbol.prototype[Symbol.toPrimitive] = undefined;', 'Function.prototype.toString = () => "code";',
    'console = {log() {}};', 'Object.defineProperty(Object.prototype, "value", {get() { return "getter"; }, set() {}});', 'Map.prototype.set = undefined;', 'Array = function () { return {}; };',
    'Object.defineProperty(Object.prototype, "name", {get() { throw 1; }, configurable: true});', 'Number.prototype.toString = () => "n";', 'Date.prototype.toISOString = () => "date";', 'delete globalThis.Object;',
    'Object.keys = Object.entries = () => [];', 'Reflect.ownKeys = () => ["x"];', 'globalThis.undefined_ = 1; globalThis.input = "changed";', 'Array.prototype.push = function () { return 0; };']


def leave(r, body, expression):
    """(manner, code) for a value kind's statements and expression."""
    manner = r.choice(['completion', 'completion', 'completion', 'return', 'await', 'await', 'console', 'console', 'thrown', 'strict', 'promise', 'json', 'tampered', 'tampered'])
    code = {
        'completion': f'{body}\n{expression}',
        'return': f'{body}\nreturn {expression};',
        'await': f'{body}\nawait null;\nawait (async () => {expression})()',
        'console': f'{body}\nconsole.{r.choice(["log", "error", "info", "warn", "debug", "dir", "table", "trace"])}({expression});\n"printed"',
        'thrown': f'{body}\nthrow Object.assign(new Error("thrown"), {{value: {expression}}});',
        'strict': f'"use strict";\n{body}\n{expression}',
        'promise': f'{body}\nPromise.resolve({expression}).then((v) => [v])',
        'json': f'{body}\nJSON.stringify({expression})',
        'tampered': f'{"".join(r.sample(TAMPERING, r.randint(1, 3)))}\n{body}\n{r.choice(["", "console.log(" + expression + ");"])}{r.choice(["", "await 1;"])}\n{expression}',
    }[manner]
    return manner, code


# ---- scripts: errors


@script('errors of every kind', 'error', weight=3)
def _(r):
    how = r.choice(['null.x', 'undefined.f()', 'nothing', '(void 0)()', 'new 5', 'x = 1; let x', 'new Array(-1)', '"".repeat(-1)', 'decodeURI("%")', '1n + 1', 'Symbol() + ""', 'null[Symbol.iterator]', '[...5]', 'const [a] = {}', 'new (class { constructor() { this.x.y } })', 'BigInt(1.5)', 'JSON.parse("{")', 'JSON.stringify((() => { const o = {}; o.o = o; return o })())', 'structuredClone(Symbol())', 'atob("*")', 'new URL("nope")', 'Reflect.construct(1)', '({}).x.y.z', 'class A extends null { constructor() { super() } }; new A', 'new WebAssembly.Module(new Uint8Array(3))', 'Object.defineProperty(Object.freeze({}), "a", {value: 1})', '"a" in "b"', '1 instanceof 1', 'new Proxy({}, null)', 'new Intl.NumberFormat("x-")', '(1).toFixed(101)', 'new Date(NaN).toISOString()', 'RegExp("(")', 'eval("{")', 'Promise()', 'new Uint8Array(new ArrayBuffer(8), 9)', 'crypto.getRandomValues(1)', 'setTimeout("code")', 'queueMicrotask()', '(() => { "use strict"; undeclared = 1 })()', 'import("x")', 'require("fs")', 'process.exit()'])
    depth = r.randint(0, 14)
    code = '\n' * r.randint(0, 3) + fill('function f0() {@space@ return [@how@]; }\n', space=' ' * r.randint(0, 6), how=how)
    for i in range(1, depth + 1):
        code += fill(r.choice(['function f@i@() { return f@j@(); }\n', 'const f@i@ = () =>\n  f@j@();\n',
                               'var f@i@ = (class C@i@ { static m() { return f@j@() } }).m;\n', 'let f@i@ = async () => await f@j@();\n',
                               'function* g@i@() { yield f@j@() }\nvar f@i@ = () => [...g@i@()][0];\n']), i=i, j=i - 1)
    call = f'f{depth}()'
    return code + r.choice([call, f'await null; {call}', f'await {call}', f'return {call}', f'setTimeout(() => {call}, 1)', f'queueMicrotask(() => {{ {call} }})', f'new Promise(() => {call})', f'[1].map(() => {call})', f'(async () => {{ await 1; {call} }})()', f'try {{ {call} }} finally {{ console.log("finally") }}', f'try {{ {call} }} catch (e) {{ throw new Error("outer", {{cause: e}}) }}', f'eval("{call}")'])


@script('own error classes', 'error')
def _(r):
    return fill('class AppError extends @base@ { constructor(m, o) { super(m, o); @named@ this.code = @c@; } get extra() { return 1; } }\nfunction fail() {\n  throw new AppError(@m@, {cause: @cause@});\n}\n@call@', base=r.choice(['Error', 'TypeError', 'RangeError', 'AggregateError']), named=r.choice(['', 'this.name = "AppError";', 'this.name = 5;', 'delete this.stack;', 'this.stack = "own stack";', 'Object.defineProperty(this, "message", {get() { return "got"; }});']), c=r.number(), m=r.choice([r.string(), '[1]']), cause=r.any_value(1), call=r.choice(['fail()', 'await 0; fail()', 'try { fail() } catch (e) { console.error(e); throw e }', 'Promise.reject(new AppError([]))']))


@script('thrown non-errors', 'error')
def _(r):
    return fill('const v = @v@;\n@how@', v=r.any_value(2), how=r.choice(['throw v', 'await 1; throw v', 'await Promise.reject(v)', 'Promise.reject(v)', 'setTimeout(() => { throw v }, 1)', 'queueMicrotask(() => { throw v })', '(() => { throw v })()', 'try { throw v } catch (e) { throw [e, e === v] }']))


@script('odd thrown objects', 'error')
def _(r):
    return r.choice(['throw {toString() { throw 1 }}', 'throw {name: "N", message: "M", stack: "S"}', 'throw Object.create(Error.prototype)', 'throw new Proxy(new Error("p"), {})', 'throw Object.create(null)', 'throw {get message() { throw new Error("in getter") }}', 'throw Object.assign(new Error("x"), {name: "\\ud800", stack: undefined})', 'throw {message: "only"}', 'throw class X {}', 'throw function f() {}', 'throw new AggregateError([new Error("a"), 2], "many")', 'throw Object.freeze(new Error("frozen"))', 'throw new DOMException("m", "DataCloneError")', 'throw Object.setPrototypeOf(new Error("bare"), null)', 'throw {stack: "at f (job.js:7:9)"}', 'throw {toJSON() { return "json" }}', 'const e = new Error("cyclic"); e.cause = e; throw e'])


@script('syntax errors', 'error', weight=1.5)
def _(r):
    return '\n' * r.randint(0, 4) + ' ' * r.randint(0, 9) + r.choice(['let let = 1', 'var x = ;', 'function (', '{', '"unclosed', '`${', 'a b', 'let a; let a;', '1 = 2', 'for (;;', 'class { }', '/(/', 'return return', 'if (', '0b2', '1__0', "'\\u{110000}'", 'await await', 'yield 1 2', '({a b})', 'new.target', 'break;', 'continue x;', 'x: x: 1', '"use strict"; with (a) {}', '"use strict"; 010', 'class A { #x; #x }', 'a.#b', '}', '*/', 'async () => { for await (x in y); }', 'import x from "y"', 'export default 1', '<!-- ok\n(', 'await 1; }', 'const x', 'let [a, a] = 1', '\\', '@', 'function* g() { yield\n* 2 }', 'super()', 'super.x', 'delete x.#y', '"\n"', 'return 1 }', '%DebugPrint(1)'])


@script('Error.captureStackTrace and frames')
def _(r):
    return fill('function here(o) { Error.captureStackTrace(o@f@); return o.stack; }\nfunction via() {\n    return [here({}), new Error(@m@).stack]; }\nError.stackTraceLimit = @n@;\nconst deep = (k) => k ? deep(k - 1) : via();\nconst plain = deep(@d@);\nError.prepareStackTrace = (e, frames) => frames.map((f) => [f.getFunctionName(), f.getLineNumber(), f.getColumnNumber(), f.isEval(), f.getScriptNameOrSourceURL(), f.isAsync(), f.getTypeName()]);\nconst structured = deep(1);\nError.prepareStackTrace = undefined;\n@how@', f=r.choice(['', ', here', ', via']), m=r.string(), n=r.small(0, 30), d=r.small(0, 12), how=r.choice(['[plain, structured]', 'console.log(plain, structured)', 'await 1; [plain, new Error().stack]', 'return [structured, eval("new Error().stack"), [1].map(() => new Error().stack)]']))


@script('caught and printed errors')
def _(r):
    return fill('try {\n  @how@\n} catch (e) {\n  console.@m@(e);\n  console.log("%s|%o", e, {e});\n  console.log([e.name, e.message, e.constructor.name, String(e.stack).split("\\n").length]);\n}', how=r.choice(['null.f', 'undefined_name', 'throw new TypeError("t", {cause: new Error("c")})', 'throw new AggregateError([new Error("1"), 2])', 'JSON.parse("x")', 'new URL("x")', 'structuredClone(() => {})', 'class Q extends Error { constructor() { super("q"); this.extra = [1]; } } throw new Q', 'new Array(-5)', 'decodeURIComponent("%")']), m=r.choice(['log', 'error', 'warn', 'dir', 'trace']))


@script('stack exhausted and caught')
def _(r):
    return r.choice(['const f = () => f() + 1; let caught; try { f() } catch (e) { caught = [e.name, e.message] } caught', 'const g = () => [1].map(g); try { g() } catch (e) { e instanceof RangeError }', 'class A { get x() { return this.x } } try { new A().x } catch (e) { console.log(e.message) }', 'let p = {}; for (let i = 0; i < 5; i++) p = new Proxy(p, {}); const h = (n) => { try { return h(n + 1) } catch { return "bottom" } }; h(0)', 'let s = "["; s = s.repeat(20000); try { JSON.parse(s + "1") } catch (e) { e.name }', 'await 1; (function f() { try { f() } catch (e) { return e.message } return "ok" })() !== undefined', 'const o = {toString() { return `${this}` }}; try { `${o}` } catch (e) { e.message }'])


@script('stack exhausted', 'error')
def _(r):
    # Where the stack ends is not the same in two builds of a frame: no stack text that depends on it.
    return 'Error.stackTraceLimit = 0; ' + r.choice(['const f = (a) => f(a + 1) + 1; f(0)', 'await 1; const f = () => { f() }; f()', 'class A { constructor() { new A } } new A', 'setTimeout(function f() { f() }, 1)', 'const r = () => Reflect.apply(r, null, []); r()'])


# ---- scripts: waiting


@script('promise order', weight=2)
def _(r):
    steps = []
    for i in range(r.randint(3, 10)):
        steps.append(r.choice([f'Promise.resolve({i}).then(log).then(() => log("{i}b"));', f'queueMicrotask(() => log("m{i}"));', f'(async () => {{ log("s{i}"); await null; log("a{i}"); await {{then(f) {{ f() }}}}; log("t{i}"); }})();', f'Promise.reject({i}).catch(log).finally(() => log("f{i}"));', f'new Promise((f) => f({{then(g) {{ g("th{i}") }}}})).then(log);', f'Promise.all([{i}, Promise.resolve("x")]).then(log);', f'Promise.any([Promise.reject(1), {i}]).then(log);', f'Promise.race([new Promise(() => {{}}), {i}]).then(log);', f'Promise.allSettled([Promise.reject({i})]).then((r) => log(r[0].status));', f'(async () => {{ try {{ await Promise.reject("r{i}") }} catch (e) {{ log(e) }} }})();', f'setTimeout(log, 0, "timer");', f'(async () => {{ for await (const x of [1, Promise.resolve(2)]) log("fa{i}" + x) }})();', f'(async function* () {{ yield {i}; }})().next().then((x) => log(JSON.stringify(x)));']))
    return fill('const out = []; const log = (x) => { out.push(String(x)); @print@ };\n@steps@\n@end@', steps='\n'.join(steps), print=r.choice(['', 'console.log(x);']), end=r.choice(['await new Promise((f) => setTimeout(f, 5)); out', 'new Promise((f) => setTimeout(() => f(out), 3))', 'return new Promise((f) => setTimeout(f, 2, out))', 'out']))


# Between timers, only the order of their due times is certain, and that holds for delays that do not fall in the order
# of the calls: a machine may stand still between any two statements.


@script('timers')
def _(r):
    delays = sorted(r.sample(range(1, 40), r.randint(1, 6)))
    code = ''.join(f'timers.push(setTimeout((...a) => {{ console.log({d}, a); }}, {d}, "x", {i}));' for i, d in enumerate(delays))
    return fill('const timers = []; @code@ clearTimeout(timers[@k@]); clearTimeout(99999); clearTimeout(null); typeof timers[0]', code=code, k=r.small(0, 8))


@script('intervals', 'ok', 'error')
def _(r):
    return fill('let n = 0; const id = setInterval((...a) => { console.log("tick", ++n, a); if (n === @m@) { clearInterval(id); @then@ } }, @ms@, "x"); @end@', m=r.small(1, 5), ms=r.small(0, 5), then=r.choice(['', 'setTimeout(() => console.log("last"), 1);', 'throw new Error("in an interval");' if r.random() < 0.3 else '']), end=r.choice(['typeof id', 'await 1; n']))


@script('timers over and over')
def _(r):
    return fill('const out = []; await new Promise((f) => { const step = (k) => { out.push(k); if (k) setTimeout(step, @ms@, k - 1); else f(); }; step(@n@); }); out', ms=r.small(0, 3), n=r.small(1, 12))


@script('nested timers and promises')
def _(r):
    return fill('const out = []; const wait = (ms) => new Promise((f) => setTimeout(f, ms)); async function worker(n) { for (let i = 0; i < n; i++) { await wait(1); out.push(n + ":" + i); } return n; } const a = await worker(@a@), b = await worker(@b@); await new Promise((f) => setTimeout(() => { Promise.resolve().then(() => out.push("micro")); setTimeout(() => { out.push("inner"); f(); }, @c@); queueMicrotask(() => out.push("queued")); out.push("outer"); }, 1)); [a, b, out]', a=r.small(1, 4), b=r.small(1, 4), c=r.small(0, 4))


@script('unhandled rejections', 'error')
def _(r):
    return fill('console.log("before");\n@how@\n@then@', how=r.choice(['Promise.reject(new Error("lost"));', 'Promise.resolve().then(() => { throw new TypeError("late") });', '(async () => { await 1; null.x })();', 'Promise.all([1, Promise.reject("s")]);', 'new Promise((_, no) => setTimeout(no, 1, {code: 5}));', 'queueMicrotask(() => { throw "m" });', 'Promise.reject(1).then(() => 2);', 'Promise.reject(new Error("x")).finally(() => console.log("f"));', 'setTimeout(async () => { throw new RangeError("in timer") }, 1);']), then=r.choice(['"value"', 'setTimeout(() => console.log("never?"), 200); 5', 'await new Promise((f) => setTimeout(f, 200)); 1', 'return 7']))


@script('rejections handled in time')
def _(r):
    return r.choice(['const p = Promise.reject(new Error("x")); p.catch(() => {}); 1', 'const p = Promise.reject(1); queueMicrotask(() => p.catch(console.log)); "ok"', 'let no; const p = new Promise((_, n) => { no = n }); setTimeout(no, 1, "late"); p.catch((e) => e)', 'await Promise.allSettled([Promise.reject(1), Promise.reject(2)])', 'try { await Promise.any([Promise.reject(1)]) } catch (e) { [e.name, e.errors, e.message] }', '(async () => { try { await Promise.reject(new Error("q")) } catch (e) { return e.message } })()'])


@script('promises that never settle', 'error')
def _(r):
    return r.choice(['await new Promise(() => {})', 'new Promise(() => {})', 'return new Promise(() => {})', 'console.log("start"); await {then() {}}', 'const a = (async () => { await b })(); const b = a; await new Promise(() => {})', 'let f; const p = new Promise((y) => { f = y }); f(p.then(() => p)); await Promise.race([])', 'setTimeout(() => {}, 1); await new Promise(() => {})'])


@script('top-level return')
def _(r):
    return fill('const v = @v@;\nif (@c@) return @e@;\n@await@\nreturn {late: v};', v=r.data(2), c=r.choice(['v', '!v', 'true', 'false']), e=r.choice(['v', '[v, this === globalThis, typeof arguments]', 'undefined', '', 'Promise.resolve(v)', '() => 1', '"text"', '5n']), **{'await': r.choice(['', 'await null;', 'await new Promise((f) => setTimeout(f, 1));'])})


@script('top-level await', 'ok', 'error')
def _(r):
    return fill('const a = await @v@;\nlet b = 1; class K {} function f() { return typeof K + b; }\n@mid@\n@end@', v=r.data(2), mid=r.choice(['', 'for await (const x of (async function* () { yield 1; yield 2 })()) b += x;', 'await (await (async () => async () => { b = 9 })())();', 'let b = 2; const a = 5;', 'await null; await null; { let b = 4 }']), end=r.choice(['[a, b]', 'f()', 'a', 'b;', 'if (b) { "branch" }', 'const last = 5', 'function g() {}', 'class L {}', '({a})', '-0', 'NaN', 'Symbol("x")', 'undefined', 'await a', 'globalThis.a', '10n ** 30n', '"\\ud800"', 'var v = 7; v', 'new Map([[1, 2]])', 'Promise.resolve(b)']))


@script('completion values', 'ok', 'error')
def _(r):
    return r.choice(['1; if (true) { 2 }', '3; for (let i = 0; i < 3; i++) i * 2', 'var x = 5', 'let y = 6;', 'function f() {}', '"use strict"', '', ';', '{}', '({})', '[]', '{a: 1}', 'try { 1 } finally { 2 }', 'switch (1) { case 1: "one" }', 'do { 4; break } while (1)', 'label: { 5; break label }', 'with ({z: 1}) z', 'null', 'undefined', '-0', 'NaN', '() => 1', 'Symbol("s")', 'class A {}', 'new Date(0)', 'new Map', '/re/', '12345678901234567890n', '"\\ud800\\u0000"', 'new String("boxed")', 'Object(1n)', 'new Proxy([], {})', 'Math', 'globalThis.undefinedThing', 'eval("7; var q")', '// comment only', '/* c */ 8 // end', '1\n<!-- html\n', 'Object.create({toJSON() { return {j: 1} }})', 'new Error("value")', '[undefined, () => 1, Symbol()]', '({u: undefined, n: NaN, d: new Date(NaN)})', 'document = 1; typeof document'])


@script('results that cannot be told', 'error', 'output_limit')
def _(r):
    return r.choice(['const o = {}; o.o = o; o', '[1n]', '({toJSON() { throw new RangeError("toJSON") }})', '({get a() { null.x }})', 'await 1; [[1n]]', 'const a = []; a[0] = {a}; return a', 'Promise.resolve({v: 1n})', 'const {proxy, revoke} = Proxy.revocable({}, {}); revoke(); proxy'])


@script('result over the limit', 'output_limit')
def _(r):
    return fill('console.log("made");\n@c@', c=r.choice(['"x".repeat(@n@)', '"€".repeat(@n@)', 'Array(@n@).fill(1)', '({s: "y".repeat(@n@)})', 'await 1; "z".repeat(@n@)', 'return "r".repeat(@n@)'])).replace('@n@', str(r.randint(2000, 90000))), {'max_result_bytes': r.randint(10, 1999)}


@script('result just at its limit')
def _(r):
    n = r.randint(1, 5000)
    return f'"x".repeat({n})', {'max_result_bytes': n}


@script('input')
def _(r):
    data = json.dumps(r.choice([None, 1, 'text', {'a': [1, {'b': None}], '__proto__': {'x': 1}, 'ü': '😀'}, [1.5, -0.0, 1e300], '\ud800', {'toJSON': 1, 'then': 2}, list(range(r.randint(0, 300)))]))
    return r.choice(['input', '[typeof input, input]', 'console.log(input); input?.a', 'input = 5; input', 'var input = 1; input', 'Object.getOwnPropertyDescriptor(globalThis, "input")', 'await input', 'return [input]', 'delete globalThis.input; typeof input', 'Object.getPrototypeOf(Object(input)) === Object.prototype']), {'input': data}


@script('code as it came')
def _(r):
    return r.choice(['"é😀\u2028" + `\u2029`', '"a\tb"', '\ufeff1 + 1', '#!/usr/bin/env node\n2', 'var ünï = 3; ünï', '"\u0000".length', '// \u2028 4', '`\r\n`.length', '/* 😀 */ new Error("x").stack']), {'raw_code': True}


# ---- scripts: the console


@script('console methods and values', 'ok', 'error', weight=4)
def _(r):
    lines = []
    for _ in range(r.randint(1, 6)):
        method = r.choice(['log', 'log', 'info', 'debug', 'warn', 'error', 'dir', 'dirxml', 'table', 'trace', 'assert'])
        values = ', '.join(r.any_value(3) for _ in range(r.randint(0, 3)))
        lines.append(f'console.{method}({"false, " if method == "assert" and values else ""}{values});')
    return '\n'.join(lines + ['"done"'])


@script('console formats', 'ok', 'error')
def _(r):
    form = ''.join(r.choice(['%s', '%d', '%i', '%f', '%j', '%o', '%O', '%c', '%%', '%x', ' text ', '%']) for _ in range(r.randint(1, 6)))
    return f'console.{r.choice(["log", "error", "info"])}({json.dumps(form)}, {", ".join(r.any_value(2) for _ in range(r.randint(0, 5)))});\n1'


@script('console groups, counts, tables', 'ok', 'error', weight=1.5)
def _(r):
    steps = [r.choice([f'console.group({r.string()});', 'console.group();', 'console.groupEnd();', f'console.groupCollapsed("c", {r.number()});', 'console.count();', f'console.count({r.string()});', f'console.countReset({r.choice([chr(34) + "x" + chr(34), r.string(), ""])});', f'console.table([{{a: 1, b: {r.string()}}}, {{a: {r.number()}, c: [1]}}]);', f'console.table([[1, 2], [{r.primitive()}]], {r.choice(["undefined", "[0]", "5"])});', 'console.table(new Map([["k", {v: 1}]]));', 'console.log("a\\nb", {c: "d\\ne"});', 'console.timeEnd("none");', 'console.time("t"); console.time("t");', 'console.assert(true, "no"); console.assert(0, "yes %s", 1);', 'console.trace("here");', 'console.dir({a: {b: {c: {d: 1}}}}, {depth: 0});', 'console.clear();', 'console.timeLog("none", 1);']) for _ in range(r.randint(2, 12))]
    return '\n'.join(steps + ['1'])


@script('console with custom inspection')
def _(r):
    return fill('const custom = Symbol.for("nodejs.util.inspect.custom"); class P { constructor() { this.v = @v@; } [custom](depth, options, inspect) { return @body@; } get [Symbol.toStringTag]() { return @tag@; } }\nconsole.log(new P(), [new P()], {p: new P()});\nconsole.log("%o %O %s", new P(), new P(), new P());\n1', v=r.any_value(1), tag=r.string(), body=r.choice(['"P<" + typeof inspect + depth + ">"', 'inspect?.(this.v, options)', '{a: depth}', '5', 'null', '"multi\\nline"', 'Object.keys(options).sort().slice(0, 3).join()']))


@script('output truncated', weight=1.5)
def _(r):
    return fill('for (let i = 0; i < @n@; i++) console.@m@(@v@ + i);\nconsole.@k@("after"); console.log({an: "object"}); @end@', n=r.small(1, 300), m=r.choice(['log', 'warn']), k=r.choice(['log', 'error']), v=r.string(), end=r.choice(['"value"', 'await 1; 2', 'return 3'])), {'max_output_bytes': r.choice([0, 1, 2, 10, 50, 100, 500, 1000])}


@script('output of an error truncated', 'error')
def _(r):
    return fill('console.error("é".repeat(@n@)); console.log("x".repeat(@m@)); null.x', n=r.small(1, 100), m=r.small(1, 100)), {'max_output_bytes': r.choice([0, 1, 7, 30, 60])}


@script('much output')
def _(r):
    return fill('for (let i = 0; i < @n@; i++) { console.log(i, @v@); if (i % 100 === 0) console.error("e" + i); } @w@ "end"', n=r.small(100, 2000), v=r.choice(['"text"', '{i}', '[i, "x"]', '"y".repeat(100)']), w=r.choice(['', 'await new Promise((f) => setTimeout(f, 15)); console.log("late");']))


@script('console not captured')
def _(r):
    return fill('console.log(@v@); console.error({a: 1}); console.group("g"); console.count(); console.table([1]); [typeof console.log, console.log()]', v=r.any_value(1)), {'capture_console': False}


# ---- scripts: limits, now and then


@script('small timeouts', 'timeout', weight=0.12)
def _(r):
    return 'console.log("before"); console.error("partial"); ' + r.choice(['for (;;);', 'await new Promise((f) => setTimeout(f, 60000));', 'setInterval(() => {}, 5); 1', 'const f = () => Promise.resolve().then(f); f()', '/(a+)+$/.test("a".repeat(40) + "b")', 'try { for (;;); } finally { console.log("no") }', 'while (true) { try { (() => { for (;;); })() } catch {} }', '[1, 2].sort(() => { for (;;); })', 'Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0)', 'setTimeout(() => { throw 1 }, 60000); "pending"']), {'timeout_ms': r.choice([250, 300, 400])}


@script('processor time used up', 'cpu_timeout', weight=0.06)
def _(r):
    return 'console.log("before"); ' + r.choice(['for (;;);', 'let x = 0; while (x >= 0) x = Math.sin(x) ** 2;']), {'cpu_ms': r.choice([60, 120]), 'timeout_ms': 20000}


@script('memory used up', 'oom', weight=0.06)
def _(r):
    return 'console.log("before"); ' + r.choice(['const a = []; for (;;) a.push(new ArrayBuffer(4 << 20));', 'new ArrayBuffer(500 << 20)', 'const a = []; for (;;) a.push({i: a.length, s: [a.length]});']), {'memory_mb': 48}


@script('refused buffers, caught')
def _(r):
    return fill('let refused = 0; const kept = []; for (let i = 0; i < 6; i++) { try { kept.push(new ArrayBuffer(@n@ << 20)); } catch (e) { refused++; console.log(e.name); } } [kept.length > 0, refused > 0]', n=r.small(25, 40)), {'memory_mb': 100}


@script('too many timers', 'error', 'ok')
def _(r):
    return fill('let n = 0; try { for (;;) { setTimeout(() => {}, 1); n++; } } catch (e) { console.log(n, e.name, e.message); } @end@', end=r.choice(['n', 'setTimeout(() => {}, 1)'])), {'max_timers': r.randint(1, 200)}


# Their predecessors' processor time, wall clock and memory would be over these limits, had they been charged.


@script('a tight processor limit', weight=1.5)
def _(r):
    return fill('let s = 0; for (let i = 0; i < @n@; i++) s += i; s', n=r.small(1, 2000)), {'cpu_ms': 400}


@script('a tight clock', weight=1.5)
def _(r):
    return fill('let s = 0; for (let i = 0; i < @n@; i++) s += i; await new Promise((f) => setTimeout(f, 2)); s', n=r.small(1, 2000)), {'timeout_ms': 4000}


@script('a tight memory limit', weight=1.5)
def _(r):
    return fill('const b = new Uint8Array(@n@ << 20); b[b.length - 1] = 7; b.at(-1)', n=r.small(5, 20)), {'memory_mb': 32}


@script('burns processor time', weight=0.7)
def _(r):
    return fill('const end = Date.now() + @ms@; let n = 0; while (Date.now() < end) n++; n > 0', ms=r.small(30, 120))


@script('keeps much memory', weight=0.7)
def _(r):
    return fill('globalThis.kept = []; for (let i = 0; i < @n@; i++) kept.push(new Uint8Array(1 << 20).fill(i)); globalThis.objects = Array.from({length: @m@}, (_, i) => ({i, s: "s" + i})); [kept.length, objects.length]', n=r.small(10, 60), m=r.small(1000, 100000)), {'memory_mb': 128}


@script('Atomics.waitAsync left or notified')
def _(r):
    return r.choice(['const t = new Int32Array(new SharedArrayBuffer(8)); if (Atomics.waitAsync) { const w = Atomics.waitAsync(t, 0, 0); Atomics.notify(t, 0); await w.value } else "ok"', 'const t = new Int32Array(new SharedArrayBuffer(8)); if (Atomics.waitAsync) { const w = Atomics.waitAsync(t, 1, 1); w.value } else "not-equal"', 'const t = new Int32Array(new SharedArrayBuffer(8)); globalThis.left = Atomics.waitAsync?.(t, 0, 0); typeof t'])


@script('weak references and finalizers')
def _(r):
    return fill('const registry = new FinalizationRegistry(() => { globalThis.seen = (globalThis.seen ?? 0) + 1; }); let o = {big: new Array(1000).fill(@n@)}; const ref = new WeakRef(o); registry.register(o, 1); for (let i = 0; i < 2000; i++) registry.register({i}, i); ref.deref() === o', n=r.number())


# ---- polluters


@polluter('changes prototypes')
def _(r):
    lines = r.sample(['Array.prototype.map = Array.prototype.filter = function () { return "polluted"; };', 'Object.prototype.polluted = "yes";', 'String.prototype.toString = () => "s";', 'Number.prototype.toFixed = null;', 'Function.prototype.call = undefined;', 'Map.prototype.get = Map.prototype.set = () => 1;', 'Array.prototype[3] = "three";', 'Object.setPrototypeOf(Array.prototype, {inherited: 1});', 'Object.prototype[Symbol.iterator] = function* () { yield 1; };', 'delete Array.prototype.push; delete Object.prototype.hasOwnProperty;', 'Promise.prototype.finally = 5;', 'Uint8Array.prototype.fill = () => "f";', 'Generator = Object.getPrototypeOf(function* () {}); Generator.prototype.next = () => ({done: true});', 'BigInt.prototype.toString = () => "b";', 'Boolean.prototype.valueOf = () => 0;', 'Object.setPrototypeOf(Function.prototype, null);', 'WeakMap.prototype.get = () => "w";', 'ArrayBuffer.prototype.slice = 0;'], 5)
    return '\n'.join(lines + ['[[].polluted, [1].map, Object.keys({}), [1, 2].length]'])


@polluter('freezes built-ins')
def _(r):
    return fill('for (const n of Object.getOwnPropertyNames(globalThis)) { const v = globalThis[n]; if (v && (typeof v === "object" || typeof v === "function") && v !== globalThis@x@) { Object.freeze(v); if (v.prototype) Object.freeze(v.prototype); } }\n[Object.isFrozen(Object.prototype), Object.isFrozen(console), Object.isFrozen(Array)]', x=r.choice([' && n !== "console"', '']))


@polluter('seals the global object')
def _(r):
    return r.choice(['Object.preventExtensions(globalThis); try { newGlobal = 1 } catch (e) { e.name }', 'Object.setPrototypeOf(globalThis, {get surprise() { return 1 }}); typeof surprise', 'Object.setPrototypeOf(Object.getPrototypeOf(globalThis), new Proxy({}, {has: (t, k) => typeof k === "string" && k.startsWith("magic"), get: () => "magic"})); typeof magicWord', 'Object.freeze(globalThis); 1'])


@polluter('replaces built-ins', 'ok', 'error')
def _(r):
    names = r.sample(['Promise', 'Array', 'Object', 'JSON', 'console', 'Map', 'Error', 'String', 'Symbol', 'Reflect', 'RegExp', 'Date', 'Math', 'URL', 'TextEncoder', 'setTimeout', 'queueMicrotask', 'structuredClone', 'WebAssembly', 'Intl', 'Uint8Array', 'DOMException', 'eval', 'Function', 'isNaN', 'parseInt'], 4)
    return ''.join(f'globalThis.{n} = {r.choice(["undefined", "function () { return 5; }", "{stringify: () => 1}", "new Proxy(function () {}, {})", "class Fake {}"])};\n' for n in names) + r.choice([f'[typeof {names[0]}, typeof {names[1]}]', f'await 1; typeof {names[2]}', f'return "{names[3]}"', '({a: 1})'])


@polluter('deletes the globals', 'ok', 'error')
def _(r):
    return fill('for (const n of Object.getOwnPropertyNames(globalThis)) { try { delete globalThis[n]; } catch {} } @end@', end=r.choice(['1', 'typeof URL', 'await 1; 2', 'return 3', 'null.x', '({})', '[1]']))


@polluter('hooks errors', 'error', 'ok')
def _(r):
    return fill('Error.prepareStackTrace = @hook@; Error.stackTraceLimit = @n@; Error.prototype.toString = () => "hooked"; Object.defineProperty(Error.prototype, "message", {get() { return "from prototype"; }}); TypeError.prototype.name = "Hooked"; @end@', hook=r.choice(['() => "hooked"', '(e, f) => { throw new Error("in hook") }', '(e, f) => f', '(e, f) => ({toString() { return "o" }})', '5', '(e, f) => { globalThis.leaked = f; return "x" }']), n=r.choice(['0', '100', 'Infinity', '-1', '"5"']), end=r.choice(['null.x', 'throw new TypeError("t")', 'new Error("e").stack', 'await Promise.reject(new Error("r"))', 'console.log(new Error("printed")); 1']))


@polluter('Object.prototype.then and toJSON', 'ok', 'error')
def _(r):
    return r.choice(['Object.prototype.then = function (f) { f("hijacked"); };', 'Object.prototype.toJSON = function () { return "hijacked"; };', 'Object.defineProperty(Object.prototype, "then", {get() { return undefined; }, configurable: false});', 'Object.prototype.then = function (y, n) { n(new Error("no")); };', 'String.prototype.toJSON = Number.prototype.toJSON = () => "j"; Array.prototype.toJSON = () => ["a"];']) + r.choice(['\nawait ({a: 1})', '\n({b: 2})', '\n[1, "2"]', '\nPromise.resolve({c: 3})', '\nreturn {d: 4}', '\nconsole.log({e: 5}); [5]'])


@polluter('getters on Object.prototype', 'ok', 'error')
def _(r):
    names = r.sample(['value', 'get', 'set', 'writable', 'enumerable', 'configurable', 'message', 'name', 'stack', 'code', 'result', 'id', 'length', 'exceptionDetails', 'objectId', 'type', 'constructor', 'transfer', '0', 'default', 'depth', 'customInspect'], 6)
    return ''.join(f'Object.defineProperty(Object.prototype, "{n}", Object.assign(Object.create(null), {{get() {{ {r.choice(["return undefined;", "return 7;", "return () => 1;"])} }}, set(v) {{}}, configurable: true}}));' for n in names) + r.choice(['\n1', '\nconsole.log({a: 1}, [2]); 3', '\nnew URL("http://a/b").href', '\nawait 5', '\n[structuredClone({q: 1}).q]', '\nnull.x'])


@polluter('its own console', 'ok', 'error')
def _(r):
    return r.choice(['console.log = console.error = () => {}; console.log("lost"); 1', 'globalThis.console = new Proxy(console, {get: () => () => "trapped"}); console.anything(1)', 'const real = console.log; console.log = (...a) => real("prefix", ...a); console.log("x"); console.group("left open"); console.group("twice"); console.log("in")', 'for (const k of Object.keys(console)) console[k] = null; typeof console.log', 'console.group(); console.count("kept"); console.count("kept"); console.time("kept"); console.log("in")', 'delete console.log; console = undefined; 1', 'Object.defineProperty(globalThis, "console", {get() { throw new Error("no console") }}); 2', 'console.log(Object.getPrototypeOf(console) === Object.prototype); Object.setPrototypeOf(console, null); console.log("y")'])


@polluter('leaves timers and promises', 'error')
def _(r):
    # The error ends the job at once: what is pending then must never run.
    return fill('globalThis.never = []; for (let i = 0; i < @n@; i++) { setTimeout(() => console.log("too late"), @ms@ + i); setInterval(() => { console.log("interval"); }, @ms@); never.push(new Promise(() => {})); (async () => { await new Promise((f) => setTimeout(f, @ms@)); console.log("ghost"); })(); }\nPromise.resolve().then(() => { throw new Error("ends here") });\n@await@', n=r.small(1, 40), ms=r.small(30, 300), **{'await': r.choice(['1', 'await new Promise(() => {})', 'return 2'])})


@polluter('leaves microtasks and rejections', 'error')
def _(r):
    return fill('for (let i = 0; i < @n@; i++) { Promise.reject(new Error("r" + i)); queueMicrotask(() => Promise.resolve().then(() => queueMicrotask(() => { globalThis.n = i; }))); }\nsetTimeout(() => Promise.reject(2), 1); @how@', n=r.small(1, 30), how=r.choice(['throw 5', 'null.x', '1']))


@polluter('makes garbage')
def _(r):
    return fill('globalThis.held = []; let s = 0; for (let i = 0; i < @n@; i++) { const a = new Array(2000).fill(i); s += a.length; if (i % 40 === 0) held.push(a); }\nfor (let i = 0; i < @m@; i++) held.push(new ArrayBuffer(1 << 20)); [s, held.length]', n=r.small(200, 4000), m=r.small(1, 40)), {'memory_mb': 128}


@polluter('fills maps, strings, symbols')
def _(r):
    return fill('globalThis.m = new Map(); for (let i = 0; i < @n@; i++) { m.set("k" + i, Symbol.for("g" + i)); } globalThis.s = "x".repeat(@k@); globalThis.r = Array.from({length: 200}, (_, i) => new RegExp("a{" + i + "}b", "u").test("aaab")); [m.size, s.length, r.filter(Boolean).length, Symbol.keyFor(Symbol.for("g1"))]', n=r.small(100, 30000), k=r.small(1, 5000000)), {'memory_mb': 128}


@polluter('defines globals')
def _(r):
    return fill('var leakedVar = @v@; function leakedFunction() {} let leakedLet = 1; const leakedConst = 2; class LeakedClass {} globalThis.leakedProperty = 3; leakedImplicit = 4; var @n@ = 5; globalThis[Symbol.for("leak")] = 6; @await@ Object.keys(globalThis).sort()', v=r.data(1), n=r.choice(['input', 'status', 'result', 'event', 'name', 'self', 'window', 'process', 'global']), **{'await': r.choice(['', 'await 1;'])})


@polluter('looks for leaks', weight=4)
def _(r):
    return '\n'.join(['const names = ["leakedVar", "leakedFunction", "leakedLet", "leakedConst", "LeakedClass", "leakedProperty", "leakedImplicit", "kept", "held", "never", "leaked", "m", "objects", "left", "seen", "n"];',
                      'const found = names.filter((n) => { try { return (0, eval)("typeof " + n) !== "undefined"; } catch (e) { return true; } });', r.choice(['', 'await null;', 'var leakedLet; let leakedVar;']),
                      '[found, Reflect.ownKeys(globalThis).map(String).sort().join(), Object.keys(Object.prototype), [].polluted, Symbol.keyFor(Symbol.for("g1")), globalThis[Symbol.for("leak")], RegExp.$1, RegExp.lastMatch, RegExp.input, Error.stackTraceLimit, typeof input, Object.isFrozen(Object.prototype), Object.isExtensible(globalThis), setTimeout(() => {}, 0)]'])


@polluter('changes Intl and Date')
def _(r):
    return r.choice(['Intl.DateTimeFormat = function () { return {format: () => "fake", resolvedOptions: () => ({})} }; Intl.NumberFormat.prototype.format = 1; new Date(0).toLocaleString()', 'Date.prototype.toString = Date.prototype.toISOString = () => "fake"; Date.now = () => 0; Date.UTC = null; [new Date(0) + "", Date.now()]', 'Date.prototype[Symbol.toPrimitive] = () => 7; globalThis.Date = class extends Date { constructor() { super(0) } }; new Date() - 0', 'for (const k of Object.getOwnPropertyNames(Intl)) { try { Intl[k].supportedLocalesOf = () => ["xx"]; } catch {} } (5).toLocaleString("de")', 'delete globalThis.Intl; new Date(86400000).toLocaleDateString("fr") + "é".localeCompare("f")', 'new Intl.DateTimeFormat("ar-EG", {timeZone: "Asia/Kolkata", calendar: "islamic-civil"}).format(0); new Intl.Collator("zh").compare("a", "b")'])


@polluter('changes symbols and iteration', 'ok', 'error')
def _(r):
    return r.choice(['Array.prototype[Symbol.iterator] = function () { throw new Error("no iteration"); };', 'String.prototype[Symbol.iterator] = Map.prototype[Symbol.iterator] = function* () {};', 'Object.getPrototypeOf([][Symbol.iterator]()).next = () => ({done: true});', 'Object.defineProperty(Function.prototype, Symbol.hasInstance, {value: () => true});', 'Array[Symbol.species]; Object.defineProperty(Array, Symbol.species, {value: Object});', 'Object.defineProperty(Promise, Symbol.species, {value: undefined}); Promise.resolve = () => 1;', 'RegExp.prototype[Symbol.replace] = RegExp.prototype[Symbol.split] = () => "r";', 'Symbol.prototype.toString = () => "sym"; Symbol.for = () => Symbol();', 'Object.prototype[Symbol.toStringTag] = "Tagged"; Object.prototype[Symbol.toPrimitive] = () => 42;']) + r.choice(['\n[..."ab", ...[1]].length', '\nawait 1; "a-b".split(/-/)', '\nconst [x] = [1]; x', '\nconsole.log(new Set([1]), [2]); 1', '\n`${{}}` + [1, 2].map((q) => q)', '\n[1] instanceof Map'])


@polluter('changes RegExp.prototype.exec')
def _(r):
    return r.choice(['RegExp.prototype.exec = function () { return null; }; ["abc".replace(/b/, "x"), /a/.test("a"), "a1b".split(/\\d/)]', 'RegExp.prototype.exec = () => Object.assign(["z"], {index: 0, groups: {g: 1}}); "abc".match(/q/)', 'Object.defineProperty(RegExp.prototype, "flags", {get: () => "y"}); "aXa".replace(/X/g, "-")', '/(secret-@n@)/.exec("my secret-@n@"); RegExp.prototype[Symbol.match] = null; RegExp.$1'.replace('@n@', r.small()), 'RegExp.prototype.test = () => true; RegExp = null; /x/.test("y")'])


@polluter('exhausts the stack, deep in the API', 'ok', 'error')
def _(r):
    return r.choice(['let n = 0; const f = () => { n++; try { f() } catch { console.log("deep") ; throw 1 } }; try { f() } catch (e) { } n > 100', 'const f = () => { try { f() } catch { new URL("http://x/") } }; try { f() } catch {} new URL("http://y/").host', 'const f = () => { try { return f() } catch { return structuredClone({a: 1}) } }; let v; try { v = f() } catch {} "survived"', 'Error.prepareStackTrace = function p() { return p() }; try { new Error("x").stack } catch (e) { "caught" } "past"', 'const f = () => { try { f() } catch { new TextEncoder().encode("x"); atob("*") } }; try { f() } catch {} new TextEncoder().encode("é").length', 'const f = (x) => { try { f(x) } catch (e) { console.table([e]) } }; try { f() } catch {} typeof f'.replace('console.table([e])', 'JSON.stringify([1])')])


@polluter('console state, left and looked for', weight=3)
def _(r):
    return fill('console.log("indented?"); console.count(); console.count("@label@"); console.countReset("kept"); console.timeEnd("kept"); @open@ console.@method@({first: "object"}); console.count("kept"); 1', label=r.choice(['x', 'y', 'default']), open=r.choice(['', 'console.group("open");', 'console.time("kept");', 'console.warn("x".repeat(5000));']), method=r.choice(['log', 'error', 'dir']))


@polluter('first to load the web API')
def _(r):
    # The built-in modules' bytecode is kept by the process from whoever first loads them.
    return r.choice(TAMPERING) + 'const t = (f) => { try { return String(f()) } catch (e) { return typeof e } };\n[' + ', '.join(r.sample(['t(() => new URL("http://münchen.de/?ä").href)', 't(() => new TextDecoder("gb18030").decode(new Uint8Array([0x81, 0x30, 65])))', 't(() => new TextEncoder().encode("x"))', 't(() => atob("!"))', 't(() => new DOMException("a", "b").name)', 't(() => new URLSearchParams("a=b").get("a"))', 't(() => structuredClone(() => 1))'], 4)) + '].length'


@polluter('tampers with the web API', 'ok', 'error')
def _(r):
    return r.choice(['URL.prototype.toString = () => "fake"; URL.canParse = null; Object.defineProperty(URL.prototype, "href", {get: () => "h"}); new URL("http://a").href', 'TextDecoder.prototype.decode = () => "d"; TextEncoder = null; 1', 'DOMException.prototype.name = 1; Object.defineProperty(globalThis, "DOMException", {value: null}); try { atob("*") } catch (e) { typeof e }', 'crypto.randomUUID = () => "not random"; Object.freeze(crypto); crypto.randomUUID()', 'URLSearchParams.prototype[Symbol.iterator] = null; new URL("http://a/?b=c").searchParams.get("b")', 'WebAssembly.Module = WebAssembly.Instance = null; WebAssembly.validate(new Uint8Array(1))', 'Math.random = () => 4; Math.PI; delete Math.max; Math.random()', 'structuredClone = (x) => x; setTimeout = (f) => f(); let q; setTimeout(() => { q = 1 }); q'])


@polluter('WebAssembly left behind')
def _(r):
    return fill('const bytes = new Uint8Array([0,97,115,109,1,0,0,0, 1,7,1,96,2,127,127,1,127, 3,2,1,0, 5,4,1,1,1,100, 7,9,2,1,109,2,0,1,102,0,0, 10,9,1,7,0,32,0,32,1,@op@,11]); globalThis.kept = Array.from({length: @n@}, () => new WebAssembly.Instance(new WebAssembly.Module(bytes))); kept[0].exports.m.grow(@g@); new Uint8Array(kept[0].exports.m.buffer).fill(255); let s = 0; for (let i = 0; i < 20000; i++) s = kept[0].exports.f(s, i) | 0; [kept.length, s]', op=str(r.choice([0x6a, 0x6b, 0x73])), n=r.small(1, 20), g=r.small(1, 90))


# ---- a script of the run


def _choices():
    names = list(STATUSES)
    return names, [WEIGHTS[name] for name in names]


def make(seed, index):
    """Script number `index` of a run: kind, job, permitted statuses. The same for a seed, whatever its neighbours."""
    r = Draw(f'{seed}/{index}')
    names, weights = _choices()
    # Every kind once at first: short runs cover all of them.
    name = names[index] if index < len(names) else r.choices(names, weights)[0]
    statuses, job, kind = STATUSES[name], {}, name
    if name in VALUES:
        manner, code = leave(r, *VALUES[name](r))
        statuses = {'thrown': {'error'}, 'tampered': None, 'strict': {'ok', 'error'}}.get(manner, statuses)
        kind = f'{name} ({manner})'
    else:
        made = (SCRIPTS.get(name) or POLLUTERS[name])(r)
        code, extra = made if isinstance(made, tuple) else (made, {})
        job.update(extra)
    job.setdefault('timeout_ms', 30000)
    if 'random' in name or r.random() < 0.5:
        job['seed'] = r.randint(0, 2**64 - 1)
    job['code'] = code
    return {'index': index, 'name': name, 'kind': kind, 'job': job, 'statuses': statuses, 'polluter': name in POLLUTERS}
