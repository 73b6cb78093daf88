"""More kinds of scripts: what could be another thing where V8 finds a script compiled already, and does not compile it
for this job (executor_main.c, "scripts that come again").

The objects that a text stands for (templates, expressions, literals, classes), functions read late, positions, the
text itself, errors found early, declarations at the top. Such a script has no top-level return and not the word
for waiting, or nothing is held. The rules are those of kinds.py.
"""
from kinds import fill, script, value


def filler(r, least):
    """Functions that nobody calls, and comments, of at least so many characters."""
    out = ''
    while len(out) < least:
        i = len(out)
        out += r.choice([f'function unused{i}(a, b) {{ const inner = (x) => x + a; return [inner(b), {{a, b}}, `t${{a}}`]; }}\n',
                         f'var table{i} = [{", ".join(str(i * k) for k in range(9))}];\n', f'// a comment about {i} ü\n',
                         f'class Unused{i} {{ #x = {i}; get x() {{ return this.#x; }} static s = () => {i}; }}\n',
                         f'const lazy{i} = async (z) => {{ for (const q of z) {{ if (q) continue; return q; }} }};\n'])
    return out


# ---- objects that a text stands for


@value('one site, one array of strings')
def _(r):
    return fill('const seen = new Set(), tag = (s) => (seen.add(s), s); function site() { return tag`a${1}@k@`; } const other = () => tag`a${1}@k@`;'
                ' for (let i = 0; i < @n@; i++) { site(); other(); eval("tag`e`"); [0, 1].forEach(() => tag`in ${i}`); } const made = new Function("tag", "return tag`f`");'
                ' class K { m() { return tag`m`; } static s = tag`s`; }', n=r.small(1, 30), k=r.small()), \
        ('[seen.size, site() === site(), site() === other(), made(tag) === made(tag), new K().m() === new K().m(), Object.isFrozen(site()), '
         'site().raw, Reflect.ownKeys(site()), new WeakSet([site()]).has(site()), (() => { try { site().mark = 1; return site().mark } catch (e) { return e.name } })()]')


@value('literals changed, then evaluated again')
def _(r):
    return fill('const make = (i) => ({a: @v@, list: [1, 2, [3, @w@]], [`k${i}`]: i, deep: {x: {y: [0.5, -0]}}, f() { return this.a; }, get g() { return i; }}), big = () => [@big@], empty = () => [[], {}], out = [];'
                ' for (let i = 0; i < @n@; i++) { const o = make(i), b = big(), e = empty(); o.list.push("grown", 0.5); o.list[2][0] = "changed"; delete o.a; o.deep.x.y[0] = {}; o.deep.x.z = 1; o.extra = [1.5]; b[1] = "s"; b.length = 3; b.push(...b); e[0].push(i); e[1].p = i;'
                ' Object.freeze(o.deep); out.push(make(i), b.length); }', v=r.data(1), w=r.number(), n=r.small(1, 60), big=', '.join(r.choice([r.small(), r.small(), r.number(), '0.5']) for _ in range(r.randint(3, 60)))), \
        '[JSON.stringify(out.slice(-4)), make(0), big(), empty(), make(1).deep === make(1).deep, Object.isFrozen(make(2).deep), big() === big()]'


@value('expressions in the text, and their state')
def _(r):
    return fill('function lit() { return /@p@/@f@; } const first = lit(), text = "aXbXXcab12"; first.lastIndex = @i@; first.own = 1; const m = first.exec(text); const after = first.lastIndex; first.compile("changed", "i"); const second = lit(); const hits = [];'
                ' for (let i = 0; i < @n@; i++) { const re = /(X)|(\\d)/g; re.test(text); hits.push(re.lastIndex); } const kept = (() => { const re = /X/g; return () => re.test(text) && re.lastIndex; })();',
                p=r.choice(['(X+)', '[ab]', '(?:)', '(?<n>\\d)', '(b)(X)']), f=r.choice(['', 'g', 'y', 'gi', 'u', 'd']), i=r.small(0, 6), n=r.small(1, 40)), \
        '[m, after, first === second, second.lastIndex, second.own, String(first), String(second), second.exec(text), hits, kept(), kept(), kept(), RegExp.$1, RegExp.lastMatch]'


@value('classes with static blocks')
def _(r):
    return fill('const log = []; const make = (Base, n) => class Made extends Base { static #count = n; #p = [n, @v@]; static { log.push("first " + this.name, this.#count++); } static [(log.push("key"), "k" + n)] = this.#count; static { try { this.later; Made.seen = #p in {}; } finally { log.push("last"); } }'
                ' has(o) { return #p in o; } swap(o) { [this.#p, o.#p] = [o.#p, this.#p]; return this.#p; } static get count() { return Made.#count; } accessor = 1; };'
                ' const A = make(Object, 1), B = make(A, 2), a = new A(), b = new B(); class Top { static #own = @n@; static { globalThis.peek = () => Top.#own++; } }', v=r.data(1), n=r.small()), \
        '[log, A.count, B.count, a.has(b), b.has(a), A.prototype.has.call(b, a), (() => { try { return b.swap(a) } catch (e) { return e.message } })(), A.k1, B.k2, A === make(Object, 1), peek(), peek(), Object.keys(b), String(make).length]'


@value('one text, evaluated again and again')
def _(r):
    return fill('const text = "(function named() { return [typeof hidden, this === undefined, arguments.length, @n@]; })"; const direct = [], scopes = []; for (let i = 0; i < @k@; i++) { direct.push(eval(text)); }'
                ' function a() { const hidden = 1; return eval(text)(); } function b() { "use strict"; return eval(text)(); } const c = () => (0, eval)(text)(1); const made = Array.from({length: 5}, () => new Function("x", "return x + @n@"));'
                ' const pair = eval("[() => ++n, () => n]; var n = @n@; [() => ++n, () => n]");', n=r.small(), k=r.small(1, 60)), \
        '[a(), b(), c(), a(), c(), new Set(direct).size, new Set(made).size, made[0] + "", made[4](1), pair[0](), pair[1](), n, eval("typeof direct"), (0, eval)("typeof direct")]'


@script('a script that evaluates its own text')
def _(r):
    # The evaluated text is the job's, to the letter.
    body = fill('(function me() { const text = "(" + me + ")()", depth = globalThis.depth = (globalThis.depth ?? 0) + 1; if (depth > @n@) return text.length; const tag = (s) => s, site = () => tag`x`; '
                'globalThis.sites = (globalThis.sites ?? new Set()).add(site()); me.own = depth; return [depth, @how@, sites.size, me.own, site() === site(), new Error("at").stack]; })()',
                n=r.small(1, 9), how=r.choice(['(0, eval)(text)', 'eval(text)', 'new Function("return " + text)()', '[eval(text), (0, eval)(text)]']))
    return body


# ---- functions read late, positions, the text itself


@script('a large script, most of it never called', 'ok', 'error', weight=1.5)
def _(r):
    before, between = filler(r, r.choice([500, 1800, 2100, 6000, 20000])), filler(r, r.choice([10, 1500]))
    end = r.choice(['[outer(2), again(3), String(outer), String(unread).length, outer.name, outer.length]', 'console.log(outer(1), again(2)); unread', '[outer(1)].map((f) => f.stack)',
                    'again(1); outer(2).stack + again(3)', 'outer(@n@).x.y', 'setTimeout(() => console.log(again(5))); outer(0).message', 'Promise.resolve(2).then((v) => [outer(v).stack, again(v)])', 'Object.keys(globalThis).length'])
    return before + fill('function outer(d) { function middle(e) { const inmost = (f) => { class L { static m() { return new Error("at " + d + e + f); } } return L.m(); }; return inmost(e + 1); }\n  return middle(d * 2); }\n@between@'
                         'const again = (() => { let n = @n@; return (k) => { n += k; const f = (x) => { n += x; return n; }; return f(1) + (() => n)(); }; })();\nfunction unread(a, {b} = {}, ...c) { /* kept */ return a ?? b; }\n', between=between, n=r.small()) + fill(end, n=r.small())


@script('positions inside nested functions', 'ok', 'error', weight=1.5)
def _(r):
    newline, indent = r.choice(['\n', '\n', '\r\n', '\r', '\u2028']), r.choice(['', '  ', '\t', '/* é😀 */ '])
    lines = [r.choice(['', '// é', '/* two', '"use strict";', ';']) for _ in range(r.randint(0, 5))]
    lines = [line + (newline + 'lines */' if line == '/* two' else '') for line in lines]
    lines += ['const site = () => new Error("here").stack;', r.choice(['function f() {', 'const f = function inner() {', 'const f = () => {']),
              indent + r.choice(['return [1].map((x) => site())[0]; }', 'const o = {get g() { return site(); }}; return o.g; }', 'return new (class K { v = site(); })().v; }', 'return ((a = site()) => a)(); }', 'return eval("site()"); }', 'function* g() { yield site(); } return [...g()][0]; }', 'return `${{toString: () => site()}}`; }', 'return new Proxy({}, {get: () => site()}).x; }', 'return JSON.parse("[1]", function (k, v) { return k ? site() : v[0]; }); }'])]
    lines.append(indent + r.choice(['f()', '[f(), site(), f()]', 'console.log(f()); console.error(new Error("printed")); 1', 'null.x; f()', 'f(); undefined_name(f())', 'setTimeout(() => { throw new TypeError(f()) })', 'throw new Error("end", {cause: f()})', '(() => { try { f().x.y } catch (e) { return [e.message, e.stack] } })()', 'Promise.resolve().then(() => f())', '[1].forEach(() => { throw f })']))
    return newline.join(lines)


@value('text of functions, once they ran')
def _(r):
    return fill('const o = { m ( a,  b ) { return a + @n@ }, get  g ( ) { return 1 }, * gen ( ) { yield 1 }, async  am () {}, ["c" + 1] : ( x ) =>  x /* c */, \'quoted\' () {} }, C = class  Named  extends  Object { #p ( ) {} static  s ( ) { return 1 } static { } f = ( ) => 1; };'
                ' function outer ( ) { function  inner ( é ) { /* ü */ return `$\\{é}` } return inner } for (let i = 0; i < @k@; i++) { o.m(i, 1); o.g; outer()(1); C.s(); }', n=r.small(), k=r.small(0, 200)), \
        '[Object.values(Object.getOwnPropertyDescriptors(o)).map((d) => String(d.value ?? d.get)), String(C), String(new C().f), String(C.s), String(outer), String(outer()), outer().name, eval("(" + outer + ")")()(2), String(class { }), String(function ( ) { })]'


@script('a first line for the shell', 'ok', 'error')
def _(r):
    return f'#!{r.choice(["", "/usr/bin/env node", " x é", "!#"])}{r.choice([chr(10), chr(10) * 3, chr(13) + chr(10), chr(0x2028)])}' + r.choice(['2', 'new Error("x").stack', '\n null.x', '(function f() {}) + ""', '#!again', 'const f = () => new Error("in f").stack; f()', ''])


@script('names given to the script', 'ok', 'error')
def _(r):
    mark = r.choice(['//# sourceURL=@n@', '//@ sourceURL=@n@', '//# sourceMappingURL=@n@.map', '//# sourceURL=@n@\n//# sourceURL=second.js', '/*# sourceURL=@n@ */', '//# sourceURL=', '//# sourceURL=with space.js'])
    name = r.choice(['other.js', 'job.js', 'node:internal/x', 'a/../b.js', 'é.js', 'http://x/y.js'])
    where = r.choice(['function f() { return new Error("in f").stack }\nconst evaluated = eval("new Error(1).stack//# sourceURL=inner.js");\n@end@\n@mark@', '@mark@\nfunction f() { return new Error("in f").stack }\nvar evaluated = 0;\n@end@'])
    return fill(where, end=r.choice(['[f(), evaluated]', 'console.error(new Error("printed")); f()', 'null.x', 'throw new TypeError(f())', 'let let', 'setTimeout(() => f.x.y); f()', 'new Function("return new Error(2).stack")()']), mark=fill(mark, n=name))


@script('lone surrogates and rare letters in the text', 'ok', 'error')
def _(r):
    odd = r.choice(['\ud800', '\udc00', 'x\udfff\ud800', '\ud83d\ude00', '\u2028\u2029', '\u0000', '\ufeff', 'é', '\uffff', '\ud835\udc00'])
    return fill(r.choice(['const s = "@o@", t = `@o@${1}`; [s, t, s.length, [...t].length, escape(s)]', 'const tag = (s) => [s, s.raw, s[0].length]; tag`@o@`', '/* @o@ */ /[@o@]/u.test("@o@")', 'const o = {"@o@": 1, "@o@b": 2}; [o, Object.keys(o), JSON.stringify(o)]', '(function f() { return "@o@" }) + "@o@"',
                          '// @o@\nnew Error("@o@").stack', 'throw new Error("@o@")', 'console.log("@o@", ["@o@"]); "@o@"', 'eval("\'@o@\'").length', 'var @o@ = 1', 'Symbol.for("@o@").description === "@o@"', 'class K { "@o@"() { return K.name + "@o@" } } new K()["@o@"]()']), o=odd)


@value('very long names')
def _(r):
    name = r.choice(['n', 'é', '𝒳', '$_']) * r.choice([300, 1100, 4000, 9000])
    return fill('const @N@ = 1; function @N@f(@N@a) { return @N@a + @N@; } const o = {@N@: 2, ["@N@x"]: 3}; class @N@K { #@N@ = 4; g() { return this.#@N@; } } @N@l: for (;;) { break @N@l; }', N=name), \
        '[Object.keys(o).map((k) => k.length), o[Object.keys(o)[0]], new (eval(Object.keys(o)[0] + "K"))().g(), eval(Object.keys(o)[0] + "f.name").length, eval(Object.keys(o)[0] + "f")(5), Object.keys(o)[1].endsWith("x")]'


# ---- control flow, directives, declarations


@script('completion values of labels and switches')
def _(r):
    return fill(r.choice(['a: { 1; b: { 2; break a; } 3; }', 'switch (@n@ % 4) { case 0: "zero"; break; case 1: "one"; case 2: "two"; break; default: "many" }', 'outer: for (var i = 0; i < 5; i++) { for (var j = 0; j < 5; j++) { if (j === @n@ % 5) continue outer; if (i === 3) break outer; i * 10 + j; } }',
                          'var x = 0; do { x++; if (x === @n@) continue; x } while (x < 9)', 'for (var k in {a: 1, b: 2}) { k; }', 'try { 1; throw 2 } catch (e) { e + @n@ } finally { 3 }', 'if (@n@ % 2) { "odd" } else ;', '"before"; var y = 1; function f() {} class K {}', '1; { let z = 2; { z + @n@ } }', 'eval("1; l: { 2; break l; }"); eval("var v = @n@")',
                          '"v"; while (false);', 'l: for (const q of [1, 2, 3]) { q; if (q === 2) break l; }', '4; with ({p: @n@}) p;', '5; try { 6 } finally { }', '({}).x; [@n@]', '"a"; ;;; {}']), n=r.small())


@script('directives', 'ok', 'error', weight=1.3)
def _(r):
    start = r.choice(['"use strict";', "'use strict'", '"use strict"\n+ 1;', '"other"; "use strict";', '1; "use strict";', '("use strict");', '/* c */ "use strict";', '"use\\x20strict";', '', '"use asm";'])
    return start + '\n' + r.choice(['undeclared = 1; typeof undeclared', 'var o = Object.freeze({a: 1}); o.a = 2; o.a', '010 + 1', '(function () { return typeof this })()', '(function (a) { arguments[0] = 2; return a })(1)', 'with ({a: 1}) a', 'delete Object.prototype', 'var eval = 1', 'function f(a, a) { return a } f(1, 2)', '(function () { return arguments.callee.name })()',
                                    '{ function inBlock() { return 1 } } typeof inBlock', 'eval("var leaked = 1"); typeof leaked', 'function strict() { "use strict"; return this } function sloppy() { return this === globalThis } [strict(), sloppy()]', 'var let = 1, yield = 2; let + yield', 'typeof this', 'function f(a = 1) { "use strict"; }', 'new Function("undeclared2 = 1; return typeof undeclared2")()', '(0, eval)("undeclared3 = 1")', 'NaN = 1; undefined = 2; typeof NaN', '"\\08"'])


@value('callee, caller, arguments')
def _(r):
    return fill('function fact(n) { return n < 2 ? 1 : n * arguments.callee(n - 1); } function who() { return who.caller && who.caller.name; } function calls() { return who(); } function kept() { return arguments; } const t = (f) => { try { return f() } catch (e) { return [e.name, e.message] } };'
                ' const one = kept(1, @v@), two = kept(1); one[0] = "changed"; one.callee = 5;', v=r.data(1)), \
        '[fact(@n@), calls(), one, [...two], one.callee, two.callee === kept, kept.arguments, t(() => (function () { "use strict"; return arguments.callee })()), t(() => (() => { "use strict"; return who.caller })()), (function f(a, b = 1) { arguments[0] = 9; return [a, arguments.length] })(1)]'.replace('@n@', r.small(1, 15))


@script('declarations that collide with globals', 'ok', 'error', weight=2)
def _(r):
    names = ['console', 'input', 'Array', 'undefined', 'NaN', 'Infinity', 'globalThis', 'name', 'self', 'URL', 'JSON', 'Math', 'eval', 'setTimeout', 'Object', 'fresh', 'crypto', 'Promise', 'Symbol', 'constructor', 'toString', '__proto__', 'then']
    a, b = r.choice(names), r.choice(names)
    make = lambda n: r.choice([f'var {n};', f'var {n} = 1;', f'let {n} = 2;', f'const {n} = 3;', f'function {n}() {{ return 4; }}', f'class {n} {{}}', f'{{ function {n}() {{}} }}', f'{n} = 5;', f'globalThis.{n} = 6;', f'for (var {n} of [7]);'])
    end = r.choice([f'[typeof {a}, typeof globalThis.{a}, typeof {b}, delete globalThis.{a}, typeof globalThis.{a}]', f'[Object.getOwnPropertyDescriptor(globalThis, "{a}"), Object.keys(globalThis)]', f'eval("var {b} = 8"); typeof {b}', f'(0, eval)("let {a} = 9; typeof {a}") + typeof {a}',
                    f'(0, eval)("var {a}"); [typeof {a}, Reflect.has(globalThis, "{a}")]', f'[typeof {b}, new Function("return typeof {a}")()]'])
    return r.choice(['', 'console.log("runs at all");\n', '"use strict";\n']) + '\n'.join([make(a), make(b), end])


# (Some of them V8 does not find in functions that it only reads ahead.)
@script('errors that are found early', 'error', 'ok', weight=1.3)
def _(r):
    bad = r.choice(['let a = 1; let a = 2;', 'const c;', 'function f() { let x; var x; }', 'class A { constructor() {} constructor() {} }', 'class A { #p; m() { return this.#q; } }', 'label: label: 1;', 'for (const x of []) { continue nowhere; }', 'function f() { "use strict"; with (a) b; }', '({a: 1, a = 2});', 'function* g() { yield = 1; }',
                    'var s = "unclosed', '`${1', '/[/', 'x = {get a(b) {}}', 'function f(a, [a]) { }', 'async () => { break; }', 'let [q, q] = [];', '1 = 2;', 'f() = 1', '({a}) = 1', 'if (1) class B {}', 'let x = 08n;', 'try {}', 'import.meta', 'export {};', 'super.x;', 'do 1', '(a, a) => { "use strict" };', 'for (let x, y of []);', '"\\u{110000}"', 'class C extends 1 { static { arguments } }', 'let undefined;', 'switch (1) { case 1: let z; case 2: let z; }', 'catch {}', 'enum = 1'])
    within = r.choice(['@bad@', '\n\n  @bad@', 'function never() {\n  const deep = () => {\n    @bad@\n  };\n}\n1', 'console.log("never printed");\n@bad@', '@filler@@bad@', '@filler@function never() { @bad@\n }'])
    return fill(within, bad=bad, filler=filler(r, 2200) if '@filler@' in within else '')


@script('import() that is refused', 'ok', 'error')
def _(r):
    what = r.choice(['"x"', '"./a.js"', '"data:text/javascript,1"', '"file:///etc/passwd"', '"node:fs"', '{toString() { console.log("asked"); return "y" }}', 'Symbol()', '"x", {with: {type: "json"}}', '`job.js`'])
    return fill(r.choice(['import(@w@).catch((e) => [e.name, e.message, String(e.stack)])', 'import(@w@)', 'import(@w@); 1', 'Promise.allSettled([import(@w@), import(@w@)]).then((all) => all.map((one) => [one.status, String(one.reason)]))', 'import(@w@) === import(@w@)', 'eval(\'import(@w@)\').then(() => 1, (e) => e.name)', 'const f = () => import(@w@); f().catch((e) => console.log(e)); "sent"', 'new Function("return import(\'z\')")().catch((e) => e.message)']), w=what)


# ---- what goes on after the script's first run


@script('generators and async functions, nothing waited for', 'ok', 'error')
def _(r):
    return fill('const log = []; function* inner(n) { try { for (let i = 0; i < n; i++) { const got = yield i; if (got) log.push(got); } return "inner"; } finally { log.push("closed"); } } function* outer() { const v = yield* inner(@n@); log.push(v); yield [...inner(2)]; throw new RangeError("from outer"); }\n'
                'async function* source() { for (const x of inner(2)) yield x; yield Promise.resolve("p"); } const collect = (it, out = []) => it.next().then(({value, done}) => done ? out : collect(it, [...out, value])); const g = outer();\n'
                'const steps = []; try { for (let i = 0; i < @k@; i++) steps.push(g.next("sent " + i)); } catch (e) { steps.push(e.message); } @more@', n=r.small(0, 5), k=r.small(1, 9),
                more=r.choice(['[steps, log]', 'g.return(5); [steps, log, g.next()]', 'collect(source()).then((all) => [all, steps, log])', 'collect(source()).then(console.log); log', 'try { g.throw(new Error("in")) } catch (e) { log.push(e.message) } [log, steps]', 'source().throw(new TypeError("thrown in"))', '(async () => { log.push("sync"); throw new Error(String(log)); })()', '[Object.prototype.toString.call(g), String(outer), steps.length]']))


@value('random numbers of every sort', weight=2)
def _(r):
    # The seed is for Math.random() only.
    return fill('const draw = () => [Math.random(), crypto.getRandomValues(new Uint32Array(@n@)).length, crypto.randomUUID().length]; const all = Array.from({length: @k@}, draw), bag = Array.from({length: 20}, (_, i) => i).sort(() => Math.random() - 0.5);', n=r.small(1, 40), k=r.small(1, 70)), \
        '[all.slice(-2), bag, Math.random(), new Set(all.map(String)).size, eval("Math.random()"), new Map(all).get(all[0]?.[0]), draw()]'


@value('weak references, asked at once')
def _(r):
    return fill('const o = {n: @n@}, ref = new WeakRef(o), token = {}, registry = new FinalizationRegistry(() => console.log("never")); const t = (f) => { try { return f() } catch (e) { return e.message } }; const held = [t(() => registry.register(o, "h", token)), registry.unregister(token), registry.unregister(token)];', n=r.small()), \
        '[held, ref.deref() === o, ref, t(() => registry.register(o, o)), t(() => new WeakRef(1)), t(() => new WeakRef(Symbol("s")).deref().description), t(() => new WeakMap([[Symbol.iterator, 1]]).has(Symbol.iterator)), String(registry), typeof WeakRef, typeof FinalizationRegistry]'


@script('asm.js')
def _(r):
    # V8 may make WebAssembly of such a function while it compiles it.
    return fill('function Module(stdlib, foreign, heap) { "use asm"; var i32 = new stdlib.Int32Array(heap), call = foreign.call, n = @n@; function add(a, b) { a = a | 0; b = b | 0; i32[0] = (a + b) | 0; n = (n + 1) | 0; return (((a + b) | 0) + n) | 0; } function out(x) { x = x | 0; return call(x | 0) | 0; } return {add: add, out: out}; }\n'
                'const heap = new ArrayBuffer(65536), seen = []; @filler@ const m = Module(globalThis, {call: (x) => { seen.push(x); return x * 2; }}, heap); @twice@ @end@', n=r.small(), filler=filler(r, 2100) if r.random() < 0.3 else '',
                twice=r.choice(['', 'Module(globalThis, {call() {}}, heap).add(1, 1);']), end=r.choice(['[m.add(2, 3), m.add(2, 3), m.out(4), seen, new Int32Array(heap)[0]]', 'console.log(m.add(1, 2)); [String(m.add).length, m.add.name, String(Module).length]', 'try { m.out({valueOf() { throw new Error("v") }}) } catch (e) { [e.message, e.stack] }']))
