"""More kinds of scripts: what an engine keeps between two evaluations, or does only once code is hot or memory is full.

Collections that move and promote, compilers and their assumptions ("protectors"), caches of code, strings, splits,
regular expressions and dates, large buffers of every sort, WebAssembly, the registry of symbols, memory limits. Each
is a template like those of kinds.py, which has the rules.
"""
import json

from kinds import polluter, script, value, fill

# (module (memory (export "m") 1 MAX) (func (export "f") (param i32 i32) (result i32) local.get 0 local.get 1 OP))
BINARY_MODULE = ('new Uint8Array([0,97,115,109,1,0,0,0, 1,7,1,96,2,127,127,1,127, 3,2,1,0, 5,5,1,1,1,@max@, '
                 '7,9,2,1,109,2,0,1,102,0,0, 10,9,1,7,0,32,0,32,1,@op@,11])')


def module(op, max_pages='144,1'):
    """`max_pages`: two bytes of LEB128; 144,1 is 144 pages of 64 KB."""
    return fill(BINARY_MODULE, max=max_pages, op=str(op))


# ---- values: compilers


@value('on-stack replacement')
def _(r):
    return fill('let s = @a@, seen = 0; for (let i = 0; i < @n@; i++) { s = (s * 31 + i) | 0; if (i === @at@) s = s + 0.5; '
                'if (i === @late@) { s = BigInt(s | 0); s = Number(s % 1000n); } try { if (i % 9973 === 7) throw i; } catch (e) { seen += e; } }',
                a=r.small(), n=r.small(20000, 120000), at=r.small(10000, 20000), late=r.small(15000, 20000)), '[s, seen]'


@value('optimised, then not any more')
def _(r):
    change = r.choice(['A.prototype.f = function () { return 1.5; };', 'o = {y: 2, x: 1};', 'o = new Proxy(o, {});', 'Object.freeze(o);',
                       'delete o.x; o.x = "s";', 'Object.setPrototypeOf(o, {g: 1});', 'Object.defineProperty(o, "x", {get() { return 9; }, configurable: true});'])
    return fill('class A { constructor(x) { this.x = x; } f() { return this.x + 1; } } let o = new A(@n@); const hot = (p) => p.f ? p.f() + p.x : p.x * 2;'
                ' let s = 0; for (let i = 0; i < 20000; i++) s += hot(o); @change@ const after = hot(o); for (let i = 0; i < 3000; i++) s += Number(hot(o));',
                n=r.small(), change=change), '[s, after, typeof after]'


@value('relies on what builtins are')
def _(r):
    # Fast paths that hold only while nobody changed a builtin; a predecessor that did must not be noticed.
    return fill('const a = Array.from({length: @n@}, (_, i) => i * @k@); const [first, second] = a; const copy = [...a, ...new Set(a), ...new Map([[1, 2]])];',
                n=r.small(2, 400), k=r.small()), \
        ('[first, second, copy.length, a.concat([1]).length, a.slice(1).length, "abc".replace(/b/g, "x"), "a,b".split(","), a.includes(undefined), '
         'Array.isArray(a.map((x) => x)), [1, , 3].indexOf(undefined), [..."ab"], Math.max(...a), Object.assign({}, {a: 1}).a, `${[1, [2]]}`, [3, 1, 2].sort()]')


@value('elements of every kind')
def _(r):
    steps = ''.join(f'{step} log.push(a.length, String(a[1]));' for step in r.sample([
        'a.push(1);', 'a.push(1.5);', 'a.push("s");', 'a[a.length + 3] = 2;', 'a.length = 3;', 'a[20000] = 1; a.length = 30;', 'a.unshift(-0);',
        'a.splice(1, 1);', 'a.fill(0.1, 0, 2);', 'a.reverse();', 'a = a.concat([NaN]);', 'a = a.filter((x) => x !== 1);', 'a.copyWithin(1, 0);', 'a.sort();'], 7))
    return fill('let a = [@v@], log = []; @steps@', v=', '.join(r.small() for _ in range(6)), steps=steps), '[log, a.length, JSON.stringify(a)]'


@value('shapes of objects')
def _(r):
    return fill('const os = Array.from({length: @n@}, (_, i) => { const o = {}; o["p" + (i % @k@)] = i; o.common = i; if (i % 5 === 0) delete o.common; return o; });'
                ' const big = {}; for (let i = 0; i < @m@; i++) big["key" + i] = i; for (let i = 0; i < @m@; i += 3) delete big["key" + i];',
                n=r.small(10, 3000), k=r.small(1, 60), m=r.small(10, 3000)), \
        '[os.reduce((s, o) => s + (o.common ?? 1), 0), Object.keys(big).length, big.key1, "key0" in big, Object.keys({...big, z: 1}).at(-1), JSON.stringify(os[0])]'


@value('functions made by the hundred')
def _(r):
    return fill('const fs = []; for (let i = 0; i < @n@; i++) fs.push(new Function("x", "return x * " + i + " + @k@")); let s = 0; for (const f of fs) s += f(2); const same = [];'
                ' for (let i = 0; i < @m@; i++) same.push(eval("(function inner() { return " + "@k@" + "; })"));', n=r.small(10, 400), m=r.small(10, 200), k=r.small()), \
        '[s, same.length, same[0]() + same.at(-1)(), same[0] === same[1], fs[3].toString()]'


@script('one text, other inputs', weight=3)
def _(r):
    # The very same text in many jobs: what is cached of it must not know the others' data.
    text = r.choice(['const once = (() => { let n = 0; return () => ++n; })(); const tag = (s) => s; const site = () => tag`a${1}b`; site().seen = input; [once(), once(), site().seen, typeof leftover, input]',
                     'function f(x) { f.calls = (f.calls ?? 0) + 1; return [x, f.calls]; } [f(input), f(1), /(.)$/.exec(String(input))?.[1]]',
                     'class K { static made = []; constructor(v) { K.made.push(v); } } new K(input); new K(2); K.made',
                     'await null; const cache = new Map([["in", input]]); globalThis.shared = (globalThis.shared ?? 0) + 1; [cache.get("in"), shared]'])
    return text, {'input': json.dumps(r.choice([r.randint(0, 1000), r.word(), [r.randint(0, 9)], None]))}


@value('expressions made native')
def _(r):
    pattern = r.choice(['(\\\\w+)\\\\s\\\\1', '(?:a|ab)(?:c|bcd)(?:d*)', '^(?:(\\\\d+)x)?\\\\s*(.*)$', '(?<=(\\\\d+))z', '[\\\\p{L}--[a-z]]', '(a*)*b', '(?<k>x)|(?<l>y)', '.{2,5}?q', '(?i:AB)c'])
    return fill('const t = (f) => { try { return f() } catch (e) { return e.name } }; const re = t(() => new RegExp("@p@", "@f@")); let hits = 0, last = null;'
                ' if (typeof re !== "string") for (let i = 0; i < @n@; i++) { const m = re.exec("abab abcd 12x rest 7z xyq " + (i % 13)); if (m) { hits++; last = [m.index, ...m, re.lastIndex]; } }',
                p=pattern, f=r.choice(['', 'g', 'u', 'v', 'd', 's']), n=r.small(10, 3000)), '[typeof re, hits, last, RegExp.$1, RegExp["$&"], RegExp.leftContext.length]'


# ---- values: memory


@value('survivors of collections', weight=0.7)
def _(r):
    return fill('const kept = new Map(), weak = new WeakMap(); for (let i = 0; i < @n@; i++) { const o = {i, next: kept.get(i - 7), text: "t" + i}; weak.set(o, {value: i}); if (i % @k@ === 0) kept.set(i, o); }'
                ' let sum = 0; for (const [k, o] of kept) sum += weak.get(o).value + (o.next ? 1 : 0) + o.text.length + k;', n=r.small(10000, 150000), k=r.small(3, 50)), '[kept.size, sum]'


@value('long lists')
def _(r):
    return fill('let head = null; for (let i = 0; i < @n@; i++) head = {head, i}; let n = 0, s = 0; for (let p = head; p; p = p.head) { n++; s = (s + p.i * 7) % 65521; } globalThis.kept = head;', n=r.small(1000, 150000)), '[n, s]'


@value('eight megabytes', weight=0.7)
def _(r):
    array = r.choice(['Uint8Array', 'Uint32Array', 'Float64Array', 'BigInt64Array'])
    return fill('const bytes = 8 << 20, t = new @T@(bytes / @T@.BYTES_PER_ELEMENT); const zero = t.every((x) => x == 0); t.fill(@v@); t[5] = @w@; globalThis.kept = t;', T=array,
                v='7n' if 'Big' in array else r.small(), w='1n' if 'Big' in array else '1'), \
        '[zero, t.length, String(t[5]), String(t.at(-1)), t.indexOf(t[5]), t.slice(0, 3).length, t.buffer.byteLength]'


@value('memory is zero before use')
def _(r):
    return fill('let dirty = 0; const kept = []; for (let i = 0; i < @n@; i++) { const t = new Uint8Array(@size@ + i); for (let j = 0; j < t.length; j += 61) dirty += t[j]; t.fill(255); if (i % 2) kept.push(t); }'
                ' const big = new Float64Array(@big@); for (let j = 0; j < big.length; j += 97) dirty += big[j];', n=r.small(2, 60), size=r.small(1, 70000), big=r.small(1, 200000)), \
        '[dirty, kept.length, new Array(5).join("x"), new Uint8Array(new SharedArrayBuffer(5000)).some((x) => x)]'


@value('growable shared buffers')
def _(r):
    return fill('const b = new SharedArrayBuffer(@n@, {maxByteLength: 1 << 20}); const t = new Uint8Array(b); t.fill(3); const out = [b.growable]; if (b.growable) { for (let i = 0; i < @k@; i++) { b.grow(b.byteLength + @step@); out.push(b.byteLength, t.length, t.at(-1)); } '
                'try { b.grow(1); } catch (e) { out.push(e.name); } }', n=r.small(1, 5000), k=r.small(1, 6), step=r.small(1, 70000)), '[out, Object.prototype.toString.call(b), b.byteLength, Atomics.add(new Int32Array(new SharedArrayBuffer(8)), 1, 5)]'


@value('views that follow their buffer')
def _(r):
    return fill('const b = new ArrayBuffer(@n@, {maxByteLength: 200000}), out = [b.resizable]; if (b.resizable) { const all = new Uint8Array(b), part = new Uint16Array(b, 2), fixed = new Uint8Array(b, 0, 4); for (const size of [@sizes@]) { b.resize(size); all.fill(size); '
                'out.push(all.length, part.length, fixed.length, all.at(-1)); } out.push([...all.slice(0, 3)], b.slice(0, 5).byteLength); }', n=r.small(8, 100000), sizes=', '.join(r.small(0, 200000) for _ in range(5))), 'out'


@value('big integers')
def _(r):
    return fill('const a = @a@n ** @k@n, b = @b@n ** @m@n; const q = a / b, rest = a % b;', a=str(r.randint(2, 10**9)), b=str(r.randint(2, 10**9)), k=r.small(50, 1500), m=r.small(1, 400)), \
        '[q * b + rest === a, String(a * b).length, a.toString(16).slice(0, 20), (a ^ b).toString(36).slice(-20), BigInt("0x" + a.toString(16)) === a, Number(BigInt.asUintN(53, a)), (a << 77n) >> 77n === a]'


# ---- values: caches of texts, dates, and ICU's


@value('ropes, slices, interned strings')
def _(r):
    return fill('let rope = ""; for (let i = 0; i < @n@; i++) rope = i % 3 ? rope + @a@ : "é" + rope; const slice = rope.slice(5, -5), o = {}; o[rope] = 1; o[slice] = 2; const again = slice.split("").join("");', n=r.small(20, 3000), a=r.string()), \
        '[rope.length, rope in o, o[again], again === slice, rope.indexOf("éé"), slice.charCodeAt(3), [...slice].length, Object.keys(o).length, rope.replaceAll("é", "").length, Symbol.for(slice) === Symbol.for(again)]'


@value('splits and matches, changed afterwards')
def _(r):
    # V8 keeps results of split() and of global matches, and shares their elements.
    return fill('const text = "@text@", out = []; for (let i = 0; i < 4; i++) { const parts = text.split(","), found = text.match(/[a-z]+/g), replaced = text.replace(/,/g, "-"); out.push(parts.length, found[0], replaced.length); parts[0] = "changed"; parts.push(i); found.length = 0; }',
                text=r.choice(['alpha,beta,gamma', 'a,b,c,d,e', 'one,two'])), 'out'


@value('numbers as strings')
def _(r):
    return fill('let s = 0; const seen = new Set(); for (let i = 0; i < @n@; i++) { const t = String(i * @k@); s = (s + t.length + Number(t.at(-1))) | 0; seen.add(t); seen.add((i / 7).toString()); }', n=r.small(100, 20000), k=r.choice(['1', '3', '0.5', '1e15', '-1'])), \
        '[s, seen.size, seen.has("0.14285714285714285"), `${0.1 + 0.2}`, (255).toString(16), String(-0), 1e21 + "", (0.000001).toString()]'


@value('time zones and daylight saving')
def _(r):
    zone = r.choice(['Europe/Berlin', 'America/New_York', 'Asia/Kathmandu', 'Australia/Lord_Howe', 'Pacific/Apia', 'Africa/Casablanca', 'UTC', 'America/St_Johns'])
    return fill('const f = new Intl.DateTimeFormat("en-GB", {timeZone: "@zone@", dateStyle: "short", timeStyle: "long"}); const days = Array.from({length: @n@}, (_, i) => f.format(Date.UTC(@year@, i % 12, 1 + i)));',
                zone=zone, n=r.small(3, 40), year=r.small(1900, 2037)), \
        '[days, new Date(2024, 5, 1).getTimezoneOffset(), new Date(2024, 2, 31, 2, 30).toString(), Intl.DateTimeFormat().resolvedOptions().timeZone, new Date(-1e14).getHours(), new Date("2024-10-27T01:30").toISOString()]'


@value('many Intl objects', weight=0.7)
def _(r):
    return fill('const out = new Set(); for (const l of @locales@) for (let i = 0; i < @n@; i++) { out.add(new Intl.NumberFormat(l, {minimumFractionDigits: i % 5}).format(1234.5 + i)); out.add(["ö", "z", "a", l].sort(new Intl.Collator(l).compare).join("")); out.add((1e6 + i).toLocaleString(l)); out.add("x".localeCompare("Y", l)); }',
                locales=r.sample(['en', 'de', 'sv', 'ar', 'hi', 'ja', 'th', 'pl', 'fa', 'tr', 'zh-Hant'], 4), n=r.small(1, 8)), '[out.size, [...out].slice(0, 40)]'


@value('JSON of a megabyte', weight=0.7)
def _(r):
    return fill('const rows = Array.from({length: @n@}, (_, i) => ({id: i, name: "row " + i, tags: ["a" + i % 7, @s@], nested: {v: i / 3, ok: i % 2 === 0}})); const text = JSON.stringify(rows), back = JSON.parse(text);', n=r.small(100, 9000), s=r.string()), \
        '[text.length, back.length, JSON.stringify(back) === text, back.at(-1), Object.keys(back[0])]'


@value('sorting and searching numbers', weight=0.8)
def _(r):
    return fill('let x = @seed@; const next = () => (x = (x * 1103515245 + 12345) % 2147483648); const t = @T@.from({length: @n@}, next), a = Array.from(t); t.sort(); a.sort((p, q) => p - q);', seed=r.small(), n=r.small(100, 40000), T=r.choice(['Uint32Array', 'Float64Array', 'Int32Array'])), \
        '[t.every((v, i) => v === a[i]), t[0], t.at(-1), a.indexOf(t[50]), t.lastIndexOf(t[9]), [...t.subarray(0, 3)]]'


# ---- values: the language, what kinds.py does not have


@value('private members of every sort')
def _(r):
    return fill('class P { #f = @n@; static #s = 1; get #a() { return this.#f; } set #a(v) { this.#f = v; } #m() { return ++this.#a; } static #sm(o) { return #f in o ? o.#m() : "no"; } static go(o) { return [P.#sm(o), P.#s++]; } accessorless() { try { this.#m = 1 } catch (e) { return [e.name, e.message] } } } class Q extends P { #f = "own"; f() { return this.#f; } } const q = new Q();', n=r.small()), \
        '[P.go(q), P.go({}), q.f(), q.accessorless(), (() => { try { P.prototype.accessorless.call({}) } catch (e) { return e.message } })(), Reflect.ownKeys(q)]'


@value('newer parts of the library')
def _(r):
    return fill('const t = (f) => { try { return f() } catch (e) { return e.name } }, a = @v@;', v='[' + ', '.join(r.small() for _ in range(6)) + ']'), \
        ('[t(() => a.toSorted()), t(() => Object.groupBy(a, (x) => x % 2 ? "odd" : "even")), t(() => [...new Set(a).intersection(new Set([1, 2, 3, 4, 5]))]), t(() => a.values().map((x) => x + 1).drop(2).toArray()), '
         't(() => typeof Promise.withResolvers().resolve), t(() => "a\\ud800".toWellFormed()), t(() => a.findLastIndex((x) => x > 3)), t(() => RegExp.escape("a.b")), t(() => Math.f16round(1.337)), t(() => Error.isError(new Error())), t(() => eval("(() => { using x = null; return 1; })()")), '
         't(() => typeof Float16Array), t(() => new Uint8Array([1, 2]).toHex()), t(() => Atomics.pause()), t(() => typeof Iterator.concat), t(() => JSON.rawJSON("1e1000").rawJSON)]')


@script('async generators and iteration', 'ok', 'error')
def _(r):
    return fill('const log = []; async function* source(n) { try { for (let i = 0; i < n; i++) { if (i % 2) await null; const got = yield i; if (got) log.push("got " + got); } return "end"; } finally { log.push("closed"); await null; log.push("after"); } }\n'
                'async function* through(it, f) { for await (const x of it) yield f(x); }\nconst it = source(@n@); log.push(await it.next(), await it.next("a"));\n@what@\nlog', n=r.small(1, 7), what=r.choice([
                    'log.push(await it.return("early"), await it.next());', 'for await (const x of through(it, (v) => v * 10)) { log.push(x); if (x > 20) break; }', 'try { await it.throw(new Error("in")) } catch (e) { log.push(e.message) }',
                    'log.push(await Promise.all([it.next(), it.next(), it.next()]));', 'log.push(typeof Array.fromAsync === "function" ? await Array.fromAsync(source(3)) : "none");', 'await it.throw(new TypeError("out of it"));']))


@script('thousands of promises')
def _(r):
    return fill('const n = @n@; let done = 0; const all = Array.from({length: n}, async (_, i) => { for (let k = i % 4; k > 0; k--) await k; done++; return i; });\nconst values = await Promise.all(all); let chain = Promise.resolve(0); for (let i = 0; i < n; i++) chain = chain.then((v) => v + 1);\n[values.length, done, await chain, (await Promise.allSettled(values.map((v) => v % 5 ? v : Promise.reject(v)))).filter((x) => x.status === "rejected").length]', n=r.small(100, 6000))


@script('errors out of depth and time', 'error')
def _(r):
    return fill('Error.stackTraceLimit = @limit@;\nasync function a(n) { await null; if (n === 0) throw new @E@("deep", {cause: [n]}); return a(n - 1); }\n@hook@\nawait @call@', limit=r.choice(['10', '3', '0', '50']), E=r.choice(['Error', 'RangeError', 'EvalError', 'URIError']),
                hook=r.choice(['', 'Error.prepareStackTrace = (e, f) => e.name + " at " + f.map((x) => x.getFunctionName() + ":" + x.getLineNumber() + (x.isAsync() ? " async" : "")).join();']), call=r.choice([f'a({r.randint(0, 12)})', f'Promise.all([1, a({r.randint(0, 5)})])', f'(async () => {{ try {{ await a({r.randint(0, 5)}) }} finally {{ console.log("f") }} }})()']))


@script('every error class as it is printed', 'ok')
def _(r):
    names = r.sample(['Error', 'EvalError', 'RangeError', 'ReferenceError', 'SyntaxError', 'TypeError', 'URIError'], 3)
    return ''.join(f'try {{\n  throw new {name}({r.string()});\n}} catch (e) {{ console.log(String(e)); console.error(e); }}\n' for name in names) + 'Error.stackTraceLimit'


@value('reading and changing globals by getters')
def _(r):
    return fill('const name = @name@; let reads = 0; Object.defineProperty(globalThis, name, {get() { reads++; return reads * @n@; }, set(v) { reads = v; }, configurable: true, enumerable: @e@}); const before = (0, eval)(name === "x y" ? "globalThis[\\"x y\\"]" : name); globalThis[name] = 10;', name=json.dumps(r.choice(['watched', 'undefinedYet', 'self', 'x y'])), n=r.small(), e=r.random() < 0.5), \
        '[before, globalThis[name], reads, Object.keys(globalThis).includes(name), delete globalThis[name], typeof globalThis[name]]'


# ---- WebAssembly


@script('WebAssembly compiled without waiting')
def _(r):
    return fill('const bytes = @bytes@;\nconst {module, instance} = await WebAssembly.instantiate(bytes);\nconst other = await WebAssembly.instantiate(await WebAssembly.compile(bytes));\nconst bad = await WebAssembly.compile(bytes.slice(0, 20)).catch((e) => e.name);\n[instance.exports.f(@a@, @b@), other.exports.f(1, 2), bad, WebAssembly.Module.exports(module).length, instance.exports.m === other.exports.m]', bytes=module(r.choice([0x6a, 0x6b, 0x6c])), a=r.small(0, 1000), b=r.small(1, 9))


@value('WebAssembly run hot')
def _(r):
    # (func (export "f") (param i32) (result i32) (local i32) loop: s = s * 31 + n; n -= 1; br_if n; end; s)
    return fill('const bytes = new Uint8Array([0,97,115,109,1,0,0,0, 1,6,1,96,1,127,1,127, 3,2,1,0, 7,5,1,1,102,0,0, 10,30,1,28,1,1,127,3,64,32,1,65,31,108,32,0,106,33,1,32,0,65,1,107,34,0,13,0,11,32,1,11]); '
                'const {f} = new WebAssembly.Instance(new WebAssembly.Module(bytes)).exports; let s = 0; for (let i = 0; i < @k@; i++) s = (s + f(@n@ + i)) | 0;', n=r.small(1, 60000), k=r.small(1, 40)), '[s, f(3)]'


@value('WebAssembly memory of megabytes', weight=0.7)
def _(r):
    return fill('const memory = new WebAssembly.Memory({initial: @n@, maximum: 200}); const view = new Uint32Array(memory.buffer); const clean = view.every((x) => x === 0); view.fill(@v@); const old = memory.grow(@g@); const after = new Uint32Array(memory.buffer); globalThis.kept = memory;', n=r.small(1, 100), v=r.small(), g=r.small(0, 60)), \
        '[clean, view.length, old, after.length, after[0], after.at(-1), memory.buffer.byteLength, Object.isFrozen(memory)]'


@value('WebAssembly tables and globals')
def _(r):
    return fill('const {f} = new WebAssembly.Instance(new WebAssembly.Module(@bytes@)).exports; const t = new WebAssembly.Table({element: "anyfunc", initial: @n@, maximum: 50}); t.set(0, f); t.grow(2); const g = new WebAssembly.Global({value: "@type@", mutable: true}, @v@); const k = (h) => { try { return h() } catch (e) { return [e.name, e.message] } };',
                bytes=module(0x6a), n=r.small(1, 20), type=r.choice(['i32', 'f64', 'f32']), v=r.small()), '[t.length, t.get(0)(2, 3), t.get(1), k(() => t.get(99)), k(() => t.set(0, () => 1)), g.value, k(() => { g.value = 2.5; return g.value; }), k(() => t.grow(100)), t.get(0) === f]'


@polluter('traps and leaves WebAssembly', 'ok', 'error')
def _(r):
    # (func (export "f") unreachable), and one that calls itself
    body = r.choice(['0,11', '16,0,11'])
    return fill('const bytes = new Uint8Array([0,97,115,109,1,0,0,0, 1,4,1,96,0,0, 3,2,1,0, 7,5,1,1,102,0,0, 10,@size@,1,@inner@,0,@body@]); const {f} = new WebAssembly.Instance(new WebAssembly.Module(bytes)).exports; globalThis.left = f;\n@call@', body=body, size='5' if body == '0,11' else '6', inner='3' if body == '0,11' else '4', call=r.choice(['try { f() } catch (e) { [e.name, e instanceof WebAssembly.RuntimeError || e instanceof RangeError] }', 'Error.stackTraceLimit = 0; f()', 'for (let i = 0; i < 50; i++) { try { f() } catch {} } "done"']))


# ---- polluters


@polluter('undoes the assumptions of compilers')
def _(r):
    return '\n'.join(r.sample(['Array.prototype[5] = "hole";', 'Object.defineProperty(Array.prototype, Symbol.iterator, {value: function* () { yield 1 }});', 'class Sub extends Array { static get [Symbol.species]() { return Object; } } new Sub(1, 2).map((x) => x);', 'Array.prototype.constructor = Object;',
        'Promise.prototype.then = Promise.prototype.then.bind(Promise.resolve());', 'Promise.resolve = () => 1;', 'RegExp.prototype.flags; RegExp.prototype.exec = RegExp.prototype.exec.bind(/x/);', 'Object.getPrototypeOf(new Map().values()).next = () => ({done: true});', 'new Proxy([], {}).concat([]);', 'const d = new Uint8Array(8); d.buffer.transfer?.();',
        'String.prototype[Symbol.iterator] = function* () {};', 'Object.prototype[0] = "zero";', 'Object.getPrototypeOf([].values()).next = function () { return {done: true} };', 'Array.prototype.__proto__ = {length: 5};', 'Set.prototype.has = Set.prototype.add = () => false;', 'Number.prototype.__proto__ = null;', 'const a = []; a.length = 2 ** 32 - 1;'], 5)) + '\nArray.isArray([])'


@polluter('fills the registry of symbols')
def _(r):
    return fill('const made = []; for (let i = 0; i < @n@; i++) { const s = Symbol.for("shared " + i); s.constructor.last = i; made.push(s); } Symbol.for("shared 0").description; Object.prototype[Symbol.for("shared 1")] = "on all"; globalThis[Symbol.for("shared 2")] = made; [made.length, ({})[Symbol.for("shared 1")], Symbol.last]', n=r.small(3, 20000))


@polluter('looks for symbols and strings', weight=2)
def _(r):
    return '[Symbol.last, ({})[Symbol.for("shared 1")], typeof globalThis[Symbol.for("shared 2")], Symbol.keyFor(Symbol.for("shared 3")), Object.getOwnPropertySymbols(globalThis).length, Object.getOwnPropertySymbols(Object.prototype).length, ((s) => s)`site`.seen, [][5], [][0], Array.prototype.length, new Proxy([], {}).concat([1]).length, Array.from(new Map([[1, 2]])).length, [...[1, 2]].length]'


@polluter('removes what the host gave', 'ok', 'error')
def _(r):
    names = r.sample(['setTimeout', 'clearTimeout', 'setInterval', 'queueMicrotask', 'structuredClone', 'console', 'URL', 'TextDecoder', 'atob', 'crypto', 'DOMException', 'URLSearchParams'], 6)
    return ''.join(r.choice([f'delete globalThis.{n};', f'globalThis.{n} = null;', f'Object.defineProperty(globalThis, "{n}", {{get() {{ return 5; }}, configurable: false}});', f'{n}.prototype && Object.setPrototypeOf({n}.prototype, null);', f'Object.freeze({n});']) for n in names) + \
        r.choice(['\ntypeof ' + names[0], '\nawait 1; [typeof ' + names[1] + ']', '\nreturn typeof ' + names[2], '\nnull.x'])


@polluter('expressions and their leftovers')
def _(r):
    return fill('const secret = "secret-@n@"; globalThis.re = /a/g; re.lastIndex = 7; RegExp.prototype.own = secret; RegExp.input; for (let i = 0; i < @k@; i++) new RegExp("p" + i + "(q|r)*", "iu").test("P" + i + "qrq"); "a,b".split(/(,)/); /(secret)-(\\d+)/.exec("x " + secret + " y"); [RegExp.$1.length, RegExp.$2.length, RegExp.lastMatch.length]', n=r.small(), k=r.small(1, 300))


@polluter('exhausts the optimiser')
def _(r):
    return fill('globalThis.fs = Array.from({length: @n@}, (_, i) => new Function("a", "let s = 0; for (let k = 0; k < 300; k++) s = (s + a * " + i + ") | 0; return s;")); let t = 0; for (let round = 0; round < 40; round++) for (const f of fs) t = (t + f(round)) | 0; t', n=r.small(5, 80))


# ---- scripts: large, and limited


@script('large results')
def _(r):
    n = r.randint(50000, 2000000)
    return r.choice([f'"x".repeat({n})', f'"é".repeat({n // 4})', f'Array.from({{length: {n // 20}}}, (_, i) => i * 3)', f'await 1; ({{s: "y".repeat({n}), n: {n}}})', f'const u = new Uint16Array({n // 10}); u.fill(9); Array.from(u)',
                     f'let s = "ab"; while (s.length < {n}) s += s; return s'])


@script('large lines of output')
def _(r):
    return fill('console.log("@c@".repeat(@n@)); console.error({k: "v".repeat(@m@)}); console.log([..."abc"].join("\\n".repeat(@k@))); "end"', c=r.choice(['x', 'é', '😀']), n=r.small(1000, 150000), m=r.small(1, 60000), k=r.small(1, 500))


@script('memory limits of every size')
def _(r):
    # Of another size than the executor was made for, too; what is asked for is well below each.
    limit = r.choice([32, 40, 64, 96, 127, 128, 128, 129, 200, 256])
    return fill('const kept = []; for (let i = 0; i < @n@; i++) kept.push(new Uint8Array(1 << 18).fill(i)); const objects = Array.from({length: @m@}, (_, i) => [i]); [kept.length, objects.length, kept.every((b, i) => b[7] === i % 256)]', n=r.small(1, limit), m=r.small(1, 1000 * limit)), {'memory_mb': limit}


@script('memory used up in other ways', 'oom', weight=0.06)
def _(r):
    return 'console.log("before"); ' + r.choice(['new Array(2 ** 32 - 1).fill(0)', 'const m = new Map(); for (let i = 0; ; i++) m.set(i, {i});', 'const s = []; for (;;) s.push("x".repeat(1 << 20) + s.length, Symbol(s.length), [..."abcdef"].concat(s.length));',
                                                 'let a = []; const grow = () => { a.push(...Array(1e4).fill(a.length)); setTimeout(grow) }; grow()', 'const f = []; for (;;) f.push(() => f.length, async () => 1, class {});']), {'memory_mb': r.choice([48, 128])}


@script('endless in other ways', 'timeout', weight=0.06)
def _(r):
    return 'console.log("before"); ' + r.choice(['(async () => { for (;;) await null; })()', 'function* g() { for (;;) yield 1; } for (const x of g());', 'new Proxy({}, {get: (t, k, p) => { for (;;); }}).x', 'const o = {toString() { for (;;); }}; `${o}`', 'for (;;) JSON.parse("[1,2,3]");', 'for (;;) new Intl.NumberFormat("de").format(1);',
                                                 'const bytes = new Uint8Array([0,97,115,109,1,0,0,0, 1,4,1,96,0,0, 3,2,1,0, 7,5,1,1,102,0,0, 10,9,1,7,0,3,64,12,0,11,11]); new WebAssembly.Instance(new WebAssembly.Module(bytes)).exports.f()', 'for (;;) new Uint8Array(1 << 20);', 'for (;;) "abc".replace(/b/g, (m) => m + Math.random());']), {'timeout_ms': 300}
