"""The jobs of the chaos test: each kind with its payload, and what its result must be, computed from the job's number.

`crashed` is right for any kind whose executor was killed, and `worker_lost` for one that cost too many workers; how
many of those there may be is the audit's business, not this table's.
"""
import json

TIMEOUT_MS = 20000  # for jobs that end by themselves, however slow the machine


class Kind:
    """`cancelled`: cancels.py cancels it."""

    def __init__(self, name, weight, code, status='ok', result=None, check=None, needs=None, cancelled=False, **fields):
        self.cancelled = cancelled
        self.name, self.weight, self.code, self.status = name, weight, code, status
        self.result, self.check, self.needs = result, check, needs
        self.fields = {'timeout_ms': TIMEOUT_MS, **fields}
        self.attempts = fields.get('max_attempts', 1)

    def payload(self, job_id, number):
        job = {'id': job_id, 'code': self.code, 'input': {'n': number}, **self.fields}
        return json.dumps({name: value for name, value in job.items() if value is not None})

    def wants_letter(self, result):
        """A dead letter besides the result."""
        return result['status'] in ('invalid', 'worker_lost') or self.attempts > 1 and not result['success']

    def complaint(self, number, result):
        """What is wrong with it, or None."""
        if result['status'] in ('crashed', 'worker_lost'):
            return None
        if result['status'] != self.status:
            return f'status {result["status"]}, not {self.status}: {json.dumps(result["error"])[:300]}'
        if self.result and result['result'] != self.result(number):
            return f'result {str(result["result"])[:80]!r}, not {self.result(number)[:80]!r}'
        return self.check(number, result) if self.check else None


def message_is(number, result):
    wanted = f'e{number}'
    return None if (result['error'] or {}).get('message') == wanted else f'error {result["error"]}, not {wanted}'


def tried_twice(number, result):
    """Deaths of workers count as attempts in the result, so it may be more."""
    return message_is(number, result) or (None if result['attempt'] >= 2 else f'attempt {result["attempt"]}, not 2')


def all_of_the_output(number, result):
    wanted = (f'{number}.' * 100 + '\n') * 300
    got = result['stdout'] if result['stdout'].endswith('\n') else result['stdout'] + '\n'
    return None if got == wanted else f'{len(got)} characters of output, not {len(wanted)}'


def keeps_what_it_printed(number, result):
    """It may have been cancelled before it ran."""
    if result['error']['name'] != 'CancelledError' or result['result'] is not None:
        return f'error {result["error"]}, result {result["result"]}'
    return None if result['stdout'] in ('', f'{number}\n') else f'output {result["stdout"]!r}'


def names_the_field(_, result):
    return None if 'cod' in (result['error'] or {}).get('message', '') else f'error {result["error"]}'


KINDS = [
    Kind('quick', 38, 'input.n * 2', result=lambda n: str(n * 2)),
    Kind('waiting', 14, 'await new Promise(done => setTimeout(done, 300)); `w${input.n}`', result=lambda n: f'w{n}'),
    Kind('busy', 4, 'const end = Date.now() + 1000; while (Date.now() < end); input.n + 1',
         result=lambda n: str(n + 1)),
    Kind('throwing', 8, 'throw new Error(`e${input.n}`)', 'error', check=message_is),
    Kind('endless', 5, 'console.log(input.n); for (;;);', 'timeout', timeout_ms=200),
    Kind('greedy', 3, 'const all = []; for (;;) all.push([input.n, 2, 3])', 'oom', memory_mb=16),
    Kind('talking', 6, 'for (let i = 0; i < 300; i++) console.log(`${input.n}.`.repeat(100)); input.n',
         check=all_of_the_output, result=str),
    Kind('large', 6, '`${input.n},`.repeat(50000)', result=lambda n: f'{n},' * 50000),
    Kind('invalid', 3, None, 'invalid', check=names_the_field, cod='1'),
    # V8 aborts by itself: its process is gone in the middle of the job, and that is an oom by contract.
    Kind('aborting', 3, 'new Array(2 ** 32 - 1).fill(input.n)', 'oom', memory_mb=64),
    Kind('retried', 5, 'throw new Error(`e${input.n}`)', 'error', check=tried_twice, needs='retries',
         max_attempts=2, backoff_ms=100),
    Kind('delayed', 5, '`d${input.n}`', result=lambda n: f'd{n}', needs='delays', delay_ms=700),
    # They would end by themselves long after the last of their cancellations.
    Kind('stopped_waiting', 3, 'console.log(input.n); await new Promise(done => setTimeout(done, 40000))', 'cancelled',
         check=keeps_what_it_printed, cancelled=True, timeout_ms=60000),
    Kind('stopped_busy', 2, 'console.log(input.n); for (;;);', 'cancelled', check=keeps_what_it_printed, cancelled=True,
         timeout_ms=60000),
    Kind('stopped_delayed', 2, 'console.log(input.n); for (;;) await null', 'cancelled', check=keeps_what_it_printed,
         needs='delays', cancelled=True, delay_ms=900, timeout_ms=60000),
]
