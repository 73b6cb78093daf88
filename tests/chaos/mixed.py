"""The jobs of growth.py --mixed: small ones of many kinds, as a queue of real work has them, each with what its result
must be. After those that are marked, the broker replaces the executor: their end is not clean (worker/executor.c).
"""
import json
import random

from jobs import Kind, names_the_field

ADDER = ('const wasm = new WebAssembly.Module(new Uint8Array([0,97,115,109,1,0,0,0, 1,7,1,96,2,127,127,1,127, 3,2,1,0, 7,5,1,1,102,0,0, '
         '10,9,1,7,0,32,0,32,1,106,11]));')
LETTERS = 200000


def message_is(number, result):
    wanted = f'e{number}'
    return None if result['error']['message'] == wanted else f'error {result["error"]}, not {wanted}'


def lines_are(number, result):
    wanted = ''.join(f'line {i} of {number}\n' for i in range(20))
    return None if result['stdout'].rstrip('\n') == wanted.rstrip('\n') else f'output {result["stdout"][:200]!r}'


KINDS = [
    Kind('tiny', 40, 'input.n * 2', result=lambda n: str(n * 2)),
    Kind('printing', 9, 'for (let i = 0; i < 20; i++) console.log(`line ${i} of ${input.n}`); 1', check=lines_are),
    Kind('big_result', 2, '`${input.n},`.repeat(%d)' % (LETTERS // 8), result=lambda n: f'{n},' * (LETTERS // 8)),
    Kind('computing', 9, 'let s = 0; for (let i = 0; i < 300000; i++) s = (s * 31 + input.n) % 65521; typeof s', result=lambda n: 'number'),
    Kind('allocating', 5, 'const a = []; for (let i = 0; i < 60000; i++) a.push({i, s: "s" + i}); a.length + input.n', result=lambda n: str(60000 + n)),
    Kind('buffers', 4, 'const b = Array.from({length: 6}, () => new Uint8Array(1 << 20).fill(7)); b.at(-1).at(-1) + input.n', result=lambda n: str(7 + n)),
    Kind('wasm', 5, ADDER + 'new WebAssembly.Instance(wasm).exports.f(input.n, 5)', result=lambda n: str(n + 5)),
    Kind('wasm_memory', 2, 'const m = new WebAssembly.Memory({initial: 20}); new Uint8Array(m.buffer).fill(1); m.grow(9) + input.n', result=lambda n: str(20 + n)),
    Kind('intl', 4, 'new Intl.NumberFormat("de", {minimumFractionDigits: 2}).format(input.n % 1000) + new Intl.Collator("sv").compare("ö", "z")',
         result=lambda n: f'{n % 1000},001'),
    Kind('error', 5, 'throw new Error(`e${input.n}`)', 'error', check=message_is),
    Kind('rejected', 2, 'Promise.reject(new TypeError(`e${input.n}`)); await null', 'error', check=message_is),
    Kind('timers', 5, 'let n = 0; for (let i = 0; i < 3; i++) await new Promise((f) => setTimeout(f, 1, n++)); n + input.n', result=lambda n: str(3 + n)),
    Kind('expression', 4, '[...("k1=v1;k22=v22;" + input.n).matchAll(/(?<k>\\w+)=(?<v>\\w+)/g)].map((m) => m.groups.v).join() + input.n', result=lambda n: f'v1,v22{n}'),
    Kind('polluting', 2, 'Object.prototype.left = input.n; globalThis.left = 1; Array.prototype.map = null; Symbol.for("s" + input.n); delete globalThis.JSON; typeof left', result=lambda n: 'number'),
    Kind('text_api', 2, 'new URL("http://a/?n=" + input.n).searchParams.get("n") + new TextDecoder().decode(new TextEncoder().encode("é"))', result=lambda n: f'{n}é'),
    Kind('other_limit', 1, 'input.n + 1', result=lambda n: str(n + 1), memory_mb=40),
    Kind('invalid', 0.3, None, 'invalid', check=names_the_field, cod='1'),
]
REPLACING = [
    Kind('own_process', 0.03, 'input.n', result=str, isolation='process'),
    Kind('endless', 0.03, 'for (;;);', 'timeout', timeout_ms=60),
    Kind('greedy', 0.03, 'const a = []; for (;;) a.push({n: input.n, s: [1]});', 'oom'),
    Kind('aborting', 0.01, 'new Array(2 ** 32 - 1).fill(input.n)', 'oom'),
    Kind('too_big_result', 0.03, '"x".repeat(9 << 20)', 'output_limit'),
]


def kind_of(number, kinds):
    return random.Random(number).choices(kinds, [kind.weight for kind in kinds])[0]


def payload(number, kinds):
    """Its job is `g<number>`."""
    return kind_of(number, kinds).payload(f'g{number}', number)


def complaint(number, kinds, replies):
    """What is wrong with a reply list, or None."""
    kind = kind_of(number, kinds)
    if len(replies) != 1:
        return f'{kind.name}: {len(replies)} results'
    result = json.loads(replies[0])
    if result['status'] in ('crashed', 'worker_lost'):
        return f'{kind.name}: {result["status"]}: {result["error"]}'
    wrong = kind.complaint(number, result)
    return wrong and f'{kind.name}: {wrong}'
