"""The jobs that are recorded: kinds of scripts, each with random parameters. Every kind depends on something that is not
the same a second time: clock, random values, which timer or which answer comes first, where a limit strikes."""
import json

KINDS = {}


def kind(*statuses, weight=1, calls=False):
    def register(function):
        KINDS[function.__name__] = (function, set(statuses or ('ok',)), weight, calls)
        return function
    return register


REGIONS = ('us-east-1', 'us-west-2', 'eu-west-1', 'eu-central-1', 'ap-south-1')
TYPES = ('AWS::EC2::Instance', 'AWS::S3::Bucket')


@kind()
def random_values(draw):
    return f'const n = {draw.randint(1, 400)}; const a = Array.from({{length: n}}, Math.random); ' \
           'console.log(a[0], a.at(-1)); a.map(x => (x * 1e6) | 0).sort((x, y) => x - y)'


@kind()
def shuffled(draw):
    return f'const a = [...Array({draw.randint(5, 60)}).keys()]; a.sort(() => Math.random() - 0.5); a'


@kind()
def dates(draw):
    return draw.choice([
        'console.log(Date.now()); new Date().toISOString() + Date()',
        'new Intl.DateTimeFormat("en-US", {dateStyle: "full", timeStyle: "full"}).format(new Date())',
        'console.log(new Date(), [new Date()]); structuredClone(new Date()).getTime()',
        f'const end = Date.now() + {draw.randint(3, 30)}; const seen = new Set(); let n = 0; '
        'while (Date.now() < end) { seen.add(Date.now()); n++ } [n, ...seen]'])


@kind(weight=3)
def timers_race(draw):
    return f'''const order = [];
for (let i = 0; i < {draw.randint(3, 40)}; i++) setTimeout(i => {{ order.push(i, Date.now() % 1000) }}, Math.random() * {draw.randint(2, 30)}, i);
const tick = setInterval(() => {{ order.push('t') }}, {draw.randint(1, 6)});
await new Promise(resolve => setTimeout(resolve, {draw.randint(10, 40)}));
clearInterval(tick);
console.log(order.join());
order'''


@kind()
def timers_and_microtasks(draw):
    return f'''let s = '';
const spin = ms => {{ const end = Date.now() + ms; while (Date.now() < end); }};
for (let i = 0; i < {draw.randint(2, 6)}; i++) {{
  setTimeout(() => {{ s += 'T' + i; queueMicrotask(() => {{ s += 'm' + i }}); spin(i) }}, {draw.randint(1, 5)});
  setTimeout(async () => {{ s += 'U'; await null; s += 'u' }}, {draw.randint(1, 8)});
}}
await new Promise(r => setTimeout(r, 25)); s'''


@kind()
def left_timers(draw):
    return f'for (let i = 0; i < {draw.randint(1, 9)}; i++) setTimeout(() => console.log(i, Date.now()), Math.random() * 12); Date.now()'


@kind()
def crypto_values(draw):
    return f'''const a = crypto.getRandomValues(new Uint8Array({draw.randint(1, 3000)}));
console.log(crypto.randomUUID(), Date.now());
let sum = 0; for (const x of a) sum = (sum * 31 + x) | 0;
[sum, ...crypto.getRandomValues(new Uint32Array(4)), crypto.randomUUID()]'''


@kind()
def measured(draw):
    return f'''console.time('a'); console.time('b');
for (let i = 0, s = 0; i < {draw.randint(1000, 300000)}; i++) s += i;
console.timeLog('a', 'half'); await new Promise(r => setTimeout(r, {draw.randint(1, 9)}));
console.timeEnd('b'); console.timeEnd('a'); 'done\''''


@kind()
def wait_async(draw):
    return f'''const cell = new Int32Array(new SharedArrayBuffer(8)); let s = '';
setTimeout(() => {{ s += 't' }}, {draw.randint(1, 9)});
const first = Atomics.waitAsync(cell, 0, 0, {draw.randint(1, 9)}).value;
const second = Atomics.waitAsync(cell, 1, 0, 1000).value;
setTimeout(() => Atomics.notify(cell, 1), {draw.randint(1, 9)});
s + await first + await second + s + Date.now()'''


@kind('error')
def thrown(draw):
    return draw.choice([
        'console.warn("before", Date.now()); throw new TypeError("at " + Date.now() + " " + Math.random())',
        'setTimeout(() => { null.x }, Math.random() * 9); await new Promise(r => setTimeout(r, 60))',
        'Promise.reject(new RangeError("left " + crypto.randomUUID())); await new Promise(r => setTimeout(r, 5))',
        'function f(n) { if (n === 0) throw Object.assign(new Error("deep " + Math.random()), {code: 7}); f(n - 1) } f(9)',
        'throw {time: Date.now()}', 'let x = ;', 'await new Promise(() => {})',
        'function f(n) { return 1 + f(n + 1) } f(0)'])


@kind()
def stack_depth(draw):
    return 'let depth = 0; function f() { depth++; f() } try { f() } catch (e) { console.log(e.name) } depth > 1000'


@kind('timeout', weight=2)
def timeouts(draw):
    return draw.choice([
        'console.log("busy"); for (;;);',
        'let i = 0; for (;;) console.log(i++, Math.random())',
        'let n = 0; for (;;) { n++; if (Date.now() % 20 === 0 && n % 97 === 0) console.log(n, Date.now()) }',
        'setInterval(() => console.log(Date.now()), 7)',
        'console.log("waits"); await new Promise(r => setTimeout(r, 1e6))',
        'for (let i = 0; ; i++) { await new Promise(r => setTimeout(r, Math.random() * 5)); console.error(i) }']), \
        {'timeout_ms': draw.randint(60, 250)}


@kind('cpu_timeout')
def cpu_timeouts(draw):
    return draw.choice(['let i = 0; for (;;) if (i++ % 1e6 === 0) console.log(i);', 'for (;;) Math.random()']), \
        {'cpu_ms': draw.randint(50, 150)}


@kind('oom', weight=2)
def out_of_memory(draw):
    return draw.choice([
        'const kept = []; for (;;) kept.push(new Array(1000).fill(Math.random()))',
        'const kept = []; for (let i = 0; ; i++) { kept.push("x".repeat(1000) + Date.now()); if (i % 5000 === 0) console.log(i) }',
        'const kept = []; for (;;) { kept.push(new ArrayBuffer(1 << 20)); console.log(kept.length) }',
        'console.log(Date.now()); new Array(2 ** 32 - 1).fill(0)',
        'const m = new Map(); for (;;) m.set(crypto.randomUUID(), {})']), {'memory_mb': draw.choice([16, 24, 32])}


@kind()
def output_is_cut(draw):
    return f'for (let i = 0; i < {draw.randint(400, 900)}; i++) (Math.random() < 0.5 ? console.log : console.warn)' \
           f'("line", i, Math.random(), Date.now()); "end"', {'max_output_bytes': draw.randint(500, 20000)}


@kind()
def much_output(draw):
    """The result is larger than its record may be: only its digest is kept."""
    return 'for (let i = 0; i < 30000; i++) console.log("line", i, Math.random()); await Promise.resolve(Date.now())', \
        {'max_output_bytes': 1 << 20}


@kind('output_limit')
def result_is_too_large(draw):
    return f'console.log(Date.now()); "x".repeat(Date.now() > 0 ? 5e6 : 1)'


@kind()
def printed(draw):
    return 'const o = {at: new Date(), m: new Map([[Math.random(), new Set([1n])]]), f() {}, e: new Error("x" + Date.now())}; ' \
           'console.log(o, [o]); console.table([{a: Math.random()}]); console.group("g"); console.debug("%s %d", "s", Date.now()); ' \
           'console.groupEnd(); console.count(); o.m.size'


@kind()
def input_and_metadata(draw):
    number = draw.randint(1, 10**6)
    return 'console.log(input); input.list.map(x => x * Math.random()).length + input.number', \
        {'input': {'list': [draw.random() for _ in range(draw.randint(1, 30))], 'number': number},
         'metadata': {'number': number}, 'capture_console': draw.random() < 0.7}


@kind()
def seeded(draw):
    return '[Math.random(), Math.random()]', {'seed': draw.randint(0, 2**53 - 1)}


@kind(weight=3, calls=True)
def parallel_calls(draw):
    return f'''const regions = {json.dumps([draw.choice(REGIONS) for _ in range(draw.randint(2, 7))])};
const order = [];
await Promise.all(regions.map(async (region, i) => {{
  const found = await queryResources({{resourceType: {json.dumps(draw.choice(TYPES))}, region, limit: {draw.randint(1, 40)}}});
  order.push(i, found.length, Date.now() % 1000);
}}));
console.log(order.join());
order'''


@kind(weight=2, calls=True)
def mixed_calls(draw):
    return f'''const order = [], note = name => value => {{ order.push(name, value.length) }};
const timer = setInterval(() => {{ order.push('t') }}, {draw.randint(2, 9)});
await Promise.all([
  listRegions().then(note('regions')), listAccounts().then(note('accounts')),
  queryCloudWatchLogEvents({{logGroupName: '/app/web', limit: {draw.randint(1, 60)}}}).then(note('logs')),
  queryResources('{draw.choice(TYPES)}', 'self', '{draw.choice(REGIONS)}').then(note('resources')),
]);
clearInterval(timer); order'''


@kind(calls=True)
def one_wins(draw):
    return f'''const first = await Promise.race([listRegions().then(() => 'call'),
  new Promise(r => setTimeout(() => r('timer'), Math.random() * {draw.randint(5, 60)}))]);
console.log(first, Date.now()); first'''


@kind('ok', 'error', calls=True)
def calls_that_fail(draw):
    return draw.choice([
        'try { await queryResources("AWS::No::Such") } catch (e) { console.log(e.name, e.message, e.requestId); e.name }',
        'await queryCloudWatchLogEvents("/no/such/group")',
        'const r = await Promise.allSettled([queryResources(), listRegions(5), listAccounts()]); '
        'r.map(x => x.status + (x.reason?.message ?? ""))'])


@kind(calls=True)
def calls_in_turn(draw):
    return f'''let total = 0;
for (let i = 0; i < {draw.randint(2, 5)}; i++) {{
  const found = await queryResources('{draw.choice(TYPES)}', 'self', {json.dumps(REGIONS)}[Math.floor(Math.random() * 5)]);
  total += found.length;
  console.log(i, found[0]?.id, Date.now());
}}
total'''


@kind('timeout', 'error', calls=True)  # the call's own time limit may be first
def timeouts_with_calls(draw):
    return 'for (let i = 0; ; i++) { const r = await listRegions(); console.log(i, r.length, Date.now()) }', \
        {'timeout_ms': draw.randint(150, 400)}


def choose(draw, number, index):
    """Job `index` of `number`: every kind at least once, then by weight."""
    names = sorted(KINDS)
    name = names[index] if index < len(names) else draw.choices(names, [KINDS[n][2] for n in names])[0]
    function, statuses, _, calls = KINDS[name]
    made = function(draw)
    code, fields = made if isinstance(made, tuple) else (made, {})
    return name, statuses, calls, {'code': code, **fields}
