"""What the parts of the benchmark share: the jobs, the variants, and what the kernel and Redis say of processes.

Every part is a list of variants: a name, and a function that measures it once and returns numbers by name. run.py runs
each of them once in every round.
"""
import collections
import json
import os
import re
import subprocess
import sys
import time

ROOT = os.path.abspath(os.path.join(os.path.dirname(os.path.abspath(__file__)), '..'))
sys.path.insert(0, os.path.join(ROOT, 'tests', 'support'))
from rig import (JOBS, PREFIX, Failure, RedisServer, Rig, Worker, bin_dir, children, die_with_parent,  # noqa: E402
                 program_environment, stat_fields, until)

PEERS = os.path.join(ROOT, 'bench', 'peers')
TICKS = os.sysconf('SC_CLK_TCK')
MEMORY_MB = 256


# A job is some statements and an expression, whose value is a string: `text` is a script with that completion value.
class Job(collections.namedtuple('Job', 'statements value expected')):
    @property
    def script(self):
        return f'{self.statements}\n{self.value}\n'

    @property
    def program(self):
        return f'{self.statements}\nconsole.log({self.value});\n'

    @property
    def module(self):
        return f'export default {{fetch() {{\n{self.statements}\nreturn new Response({self.value});\n}}}};\n'


TINY = Job('const o = {a: [1, 2, 3].map(x => x * 2)};', 'JSON.stringify(o)', '{"a":[2,4,6]}')
JOB_KINDS = {
    'tiny': TINY,
    # A loop of a fixed length, since workerd's clock stands still while a script runs.
    '10 ms of CPU': Job('function work(n) { let h = 7; '
                        'for (let i = 0; i < n; i++) h = (Math.imul(h, 31) ^ (i >>> 3)) | 0; return h; }',
                        'String(work(3500000))', '246609943'),
    # 25 MB of objects and strings, and a buffer of 25 MB.
    '50 MB': Job('const list = []; for (let i = 0; i < 250000; i++) list.push({i, name: "n" + i}); '
                 'const buffer = new Uint8Array(26214400).fill(1); '
                 'let sum = 0; for (const one of list) sum += one.i + one.name.length;',
                 'JSON.stringify([list.length, sum, buffer.length])', '[250000,31251513890,26214400]'),
}


class Variant:
    """`key` names it among all; `measure()` → numbers by name. `missing`: why it cannot be run here."""

    def __init__(self, part, name, measure, missing=None):
        self.part, self.name, self.measure, self.missing = part, name, measure, missing
        self.key = f'{part}: {name}'


class Settings:
    """How much is measured: of one round."""

    def __init__(self, quick):
        self.quick = quick
        self.engine_s = 0.25 if quick else 1.2
        self.engine_at_least = 3 if quick else 12
        self.end_to_end_s = 0.5 if quick else 2.0
        self.latencies = 60 if quick else 300
        self.results_s = 0.2 if quick else 1.0
        self.depths = [10, 1000, 20_000] if quick else [10, 1000, 100_000]
        self.depth_jobs = 300 if quick else 2000
        self.workers = [1, 10, 30] if quick else [1, 10, 100]
        self.workers_s = 0.5 if quick else 2.0


def bench_program(name):
    return os.path.join(os.path.dirname(bin_dir()), 'bench', name)


def executor_program():
    return os.path.join(bin_dir(), 'isoq-executor')


def peer_script(name):
    return os.path.join(PEERS, name)


def output_of(arguments, environment=None, patience_s=120):
    """What a program of the benchmark says; Failure if it does not end well."""
    done = subprocess.run(arguments, env=environment or program_environment(), stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, timeout=patience_s, check=False)
    if done.returncode != 0:
        raise Failure(f'{os.path.basename(arguments[0])} ended with {done.returncode}: {done.stderr[-2000:].strip()}')
    return done.stdout


def numbers_of(arguments, environment=None):
    """The line of JSON that bench/samples.h and peers/samples.mjs print, with jobs a second."""
    found = json.loads(output_of(arguments, environment))
    found['jobs_per_s'] = found['jobs'] / found['seconds']
    return found


# ---- processes


def tree(pid):
    """The process and all that came from it."""
    found, left = [], [pid]
    while left:
        one = left.pop()
        found.append(one)
        left.extend(children(one))
    return found


def cpu_s(pids):
    """Processor time until now, that of their dead children included."""
    total = 0
    for pid in pids:
        fields = stat_fields(pid)
        if fields:
            total += sum(int(fields[i]) for i in (11, 12, 13, 14))
    return total / TICKS


def run_ms(pid):
    """Processor time of a living process with one thread, finer than cpu_s()."""
    with open(f'/proc/{pid}/schedstat', encoding='ascii') as file:
        return int(file.read().split()[0]) / 1e6


def resident_mb(pids):
    """Resident memory of these processes, a page that several of them share counted once; None: the kernel does not say.

    Not the proportional set size, which is less when somebody else runs the same programs meanwhile. A mapping of a file
    is counted with the most that one process has of it; compared with the page frames themselves, it agrees.
    """
    own_kb, shared_kb = 0, {}
    for pid in pids:
        try:
            with open(f'/proc/{pid}/smaps', encoding='utf-8') as file:
                lines = file.readlines()
        except FileNotFoundError:
            continue  # it ended just now
        except (PermissionError, ProcessLookupError):
            return None
        for line in lines:
            words = line.split()
            if not words[0].endswith(':'):  # addresses, permissions, offset, device, inode, path
                mapping, of_file = tuple(words[2:5]), words[4] != '0'
            elif words[0] == 'Rss:':
                resident = int(words[1])
            elif words[0] == 'Anonymous:':
                anonymous = int(words[1]) if of_file else resident
                own_kb += anonymous
                shared_kb[mapping] = max(shared_kb.get(mapping, 0), resident - anonymous)
    return (own_kb + sum(shared_kb.values())) / 1024


# ---- Redis


def commands_run(redis):
    """{command: how often}, those within scripts included, and how often Redis read from a client."""
    text = redis('INFO', 'all').decode()
    found = {name: int(count) for name, count in re.findall(r'^cmdstat_([^:]+):calls=(\d+)', text, re.M)}
    reads = int(re.search(r'^total_reads_processed:(\d+)', text, re.M).group(1))
    return found, reads


class Watch:
    """CPU, commands and reads from its making to `end()`. Who asks Redis does it by `ask`, and is left out."""

    def __init__(self, redis, server_pid, worker_pids):
        self.redis, self.server, self.workers = redis, server_pid, worker_pids
        self.asked = collections.Counter()
        self.commands, self.reads = commands_run(redis)
        self.asked['info'] += 1
        self.cpu = cpu_s(worker_pids()), cpu_s([server_pid])

    def ask(self, *words):
        self.asked[words[0].lower()] += 1
        return self.redis(*words)

    def end(self, jobs):
        cpu = cpu_s(self.workers()), cpu_s([self.server])
        commands, reads = commands_run(self.redis)
        total = sum(commands.values()) - sum(self.commands.values()) - sum(self.asked.values())
        return {
            'worker_cpu_ms': (cpu[0] - self.cpu[0]) * 1000 / jobs,
            'redis_cpu_ms': (cpu[1] - self.cpu[1]) * 1000 / jobs,
            'commands': total / jobs,
            'reads': (reads - self.reads - sum(self.asked.values())) / jobs,
        }


# ---- workers


def start_worker(rig, server, settings, name='worker'):
    """An isoq worker that is connected to Redis."""
    environment = {f'ISOQ_{key.upper()}': str(value) for key, value in settings.items()}
    return Worker(rig, name, 'unix://' + server.socket, {}, environment=environment)


def wait_for_workers(redis, workers):
    def there():
        for worker in workers:
            if not worker.alive():
                raise Failure(f'{worker.name} ended; {worker.tail()}')
        return redis('ZCARD', PREFIX + 'workers') == len(workers)
    until('the workers serve', there, 120)


def wait_for(condition, what, patience_s=300, pause_s=0.002):
    """As until(), with short pauses: what comes next is timed."""
    deadline = time.monotonic() + patience_s
    while not condition():
        if time.monotonic() > deadline:
            raise Failure(f'{what}: not within {patience_s} s')
        time.sleep(pause_s)
