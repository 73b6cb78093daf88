#!/usr/bin/env python3
"""Runs tests/hostile/scripts through a real worker and a Redis of its own.

First every script once, its result compared with its header. Then --jobs of them in random order, several in flight,
with a printed seed. Afterwards: one result for every job and nothing left in Redis; the broker's resident size within
10 MB of what it was after the first 200 of those jobs; both executors and the spare there and no other child; and after
SIGTERM, no process at all. The last line is "N passed, N failed".

With --times N (of --isolate rewind), there is one executor, and after the first pass each script that ends well and soon
runs N times in a row, so that the executor holds it (engine/executor_main.c: from the fifth time on). Then comes CANARY,
often enough for the next script to be held as soon.

A header is the leading comment of a script. Lines of it that mean something (`\\n` etc. in *_json as in JSON):

  // expect: STATUS[|STATUS…]   the only one that must be there
  // job: {"timeout_ms": 150}   more fields of the job
  // result: TEXT               exactly; result_json: the same, as a JSON string; result_length: characters
  // result_type: WORD
  // stdout: TEXT               is part of it; stdout_is: exactly, but for the last newline; stdout_json: exactly
  // stderr: TEXT               is part of it
  // error: NAME                exactly; message: is part of it; line: exactly
  // truncated: stdout|stderr
  // peak_max_kb: NUMBER        peak_memory_bytes is no more
  // not: TEXT                  nowhere in the whole result

Every result must besides be well-formed: success, result and error agree with the status.
"""
import argparse
import ctypes
import glob
import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

MEMORY_MB = 64
EXECUTORS, SPARES = 2, 1
CANARY, CANARY_TIMES = 'finds_nothing', 17
HELD_MAX_MS = 50  # of processor time, in executor_main.c
IN_FLIGHT = 4
RESULT_PATIENCE_S = 60       # for any result at all
GROWTH_MAX_KB = 10 * 1024
BASELINE_JOBS = 200
PREFIX = 'isoq:{default}:'
HEADER_LINE = re.compile(r'// (expect|job|result|result_json|result_length|result_type|stdout|stdout_is|stdout_json|'
                         r'stderr|error|message|line|truncated|peak_max_kb|not):(?: (.*))?$')
STATUSES = {'ok', 'error', 'timeout', 'cpu_timeout', 'oom', 'output_limit', 'crashed', 'sandbox_violation', 'cancelled',
            'invalid', 'worker_lost'}


class Failure(Exception):
    """The run cannot go on."""


# ---- scripts


class Script:
    def __init__(self, path):
        self.name = os.path.basename(path)[:-3]
        with open(path, encoding='utf-8', newline='') as file:
            self.code = file.read()
        self.rules, self.job, self.statuses = [], {}, set()
        for line in self.code.split('\n'):
            if not line.startswith('//'):
                break
            match = HEADER_LINE.match(line)
            if match:
                self.read_rule(match.group(1), match.group(2) or '')
        if not self.statuses or not self.statuses <= STATUSES:
            raise Failure(f'{path}: `// expect:` must name statuses')

    def read_rule(self, key, value):
        if key == 'expect':
            self.statuses = set(value.split('|'))
        elif key == 'job':
            self.job = json.loads(value)
        else:
            self.rules.append((key, json.loads(value) if key.endswith('_json') else value))

    def payload(self, job_id):
        return json.dumps({'id': job_id, 'code': self.code, **self.job})

    def complaints(self, result, raw):
        """What is wrong with the result: a list of texts."""
        wrong = []
        status, error = result['status'], result['error']
        if status not in self.statuses:
            wrong.append(f'status {status}, not {"|".join(sorted(self.statuses))}')
        if result['success'] != (status == 'ok') or (error is None) != (status == 'ok'):
            wrong.append('success, status and error do not agree')
        if status != 'ok' and result['result'] is not None:
            wrong.append('a failure with a result')
        for key, value in self.rules:
            # What only one of several permitted statuses can have.
            if key.startswith('result') and status != 'ok' or key in ('error', 'message', 'line') and status != 'error' \
                    and self.statuses != {status}:
                continue
            if not self.holds(key, value, result, raw):
                wrong.append(f'{key}: {value!r} does not hold')
        return wrong

    @staticmethod
    def holds(key, value, result, raw):
        error = result['error'] or {}
        text = result['result']
        return {
            'result': lambda: text == value or (text is None and value == 'null'),
            'result_json': lambda: text == value,
            'result_length': lambda: text is not None and len(text) == int(value),
            'result_type': lambda: result['result_type'] == value,
            'stdout': lambda: value in result['stdout'],
            'stdout_is': lambda: result['stdout'].removesuffix('\n') == value,
            'stdout_json': lambda: result['stdout'] == value,
            'stderr': lambda: value in result['stderr'],
            'error': lambda: error.get('name') == value,
            'message': lambda: value in error.get('message', ''),
            'line': lambda: error.get('line') == int(value),
            'truncated': lambda: result['truncated'][value],
            'peak_max_kb': lambda: result['peak_memory_bytes'] <= int(value) * 1024,
            'not': lambda: value not in raw.replace(result['id'], ''),
        }[key]()


# ---- Redis: what of RESP these tests need


class Redis:
    def __init__(self, path, timeout_s=RESULT_PATIENCE_S + 10):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(timeout_s)
        self.socket.connect(path)
        self.file = self.socket.makefile('rb')

    def __call__(self, *words):
        parts = [b'*%d\r\n' % len(words)]
        for word in words:
            word = word if isinstance(word, bytes) else str(word).encode()
            parts.append(b'$%d\r\n%s\r\n' % (len(word), word))
        self.socket.sendall(b''.join(parts))
        return self.read()

    def read(self):
        line = self.file.readline()
        kind, rest = line[:1], line[1:-2]
        if kind == b'+':
            return rest.decode()
        if kind == b':':
            return int(rest)
        if kind == b'$':
            return None if rest == b'-1' else self.file.read(int(rest) + 2)[:-2]
        if kind == b'*':
            return None if rest == b'-1' else [self.read() for _ in range(int(rest))]
        raise Failure(f'Redis: {line!r}')


# ---- processes


def die_with_parent():
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


def until(what, condition, patience_s=20):
    deadline = time.monotonic() + patience_s
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise Failure(f'{what}: not within {patience_s} s')
        time.sleep(0.02)


def stat_fields(pid):
    """Those of /proc/PID/stat behind the name: state, parent, …; None: there is no such process."""
    try:
        with open(f'/proc/{pid}/stat', 'rb') as file:
            return file.read().rpartition(b')')[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None


def children(pid):
    """{pid: start time}; together they name one process for ever."""
    found = {}
    for entry in os.listdir('/proc'):
        fields = stat_fields(entry) if entry.isdigit() else None
        if fields and int(fields[1]) == pid:
            found[int(entry)] = fields[19]
    return found


def is_there(pid, started):
    fields = stat_fields(pid)
    return fields is not None and fields[19] == started and fields[0] != b'Z'


def resident_kb(pid, field='VmRSS'):
    with open(f'/proc/{pid}/status', encoding='ascii') as file:
        return int(re.search(rf'^{field}:\s+(\d+) kB', file.read(), re.M).group(1))


def settled_kb(pid):
    """The resident size at rest: what a large result took is given back a moment after it went out."""
    deadline, least = time.monotonic() + 2, resident_kb(pid)
    while time.monotonic() < deadline:
        least = min(least, resident_kb(pid))
        time.sleep(0.05)
    return least


class Setting:
    """A Redis and a worker in a folder that goes away with them."""

    def __init__(self, bin_dir, isolate='fresh', executors=EXECUTORS):
        self.isolate, self.executors, self.children = isolate, executors, executors + SPARES
        self.dir = tempfile.mkdtemp(prefix='isoq-hostile-')
        self.processes = []
        self.socket = os.path.join(self.dir, 'redis.sock')
        self.log_path = os.path.join(self.dir, 'worker.log')
        self.bin_dir = bin_dir

    def start(self):
        self.spawn('redis.log', ['redis-server', '--port', '0', '--unixsocket', self.socket, '--save', '', '--appendonly',
                                 'no', '--dir', self.dir])
        self.redis = until('redis-server', self.connect)
        self.worker = self.spawn('worker.log', [
            os.path.join(self.bin_dir, 'isoq'), 'worker', '--redis', f'unix://{self.socket}', '--executors', str(self.executors),
            '--spare-executors', str(SPARES), '--memory-mb', str(MEMORY_MB), '--max-memory-mb', str(MEMORY_MB),
            '--timeout-ms', '5000', '--isolate', self.isolate])
        until('the worker\'s executors', lambda: len(children(self.worker.pid)) == self.children)

    def spawn(self, log, arguments):
        with open(os.path.join(self.dir, log), 'wb') as file:
            process = subprocess.Popen(arguments, stdin=subprocess.DEVNULL, stdout=file, stderr=file, cwd=self.dir,
                                       preexec_fn=die_with_parent)
        self.processes.append(process)
        return process

    def connect(self):
        try:
            redis = Redis(self.socket)
            return redis if redis('PING') == 'PONG' else None
        except OSError:
            return None

    def worker_log(self, lines=20):
        try:
            with open(self.log_path, encoding='utf-8', errors='replace') as file:
                return ''.join(file.readlines()[-lines:])
        except OSError:
            return ''

    def end(self):
        for process in reversed(self.processes):
            if process.poll() is None:
                process.kill()
                process.wait()
        shutil.rmtree(self.dir, ignore_errors=True)


# ---- the tests


class Report:
    def __init__(self, verbose):
        self.passed = self.failed = 0
        self.verbose = verbose

    def check(self, ok, text):
        if ok:
            self.passed += 1
        else:
            self.failed += 1
            print(f'FAILED: {text}', flush=True)


def summary(result):
    """One line of a result, for the reader of a failure."""
    shown = {key: result[key] for key in ('status', 'result', 'result_type', 'stdout', 'stderr', 'error')}
    shown['execution_time_ms'] = result['execution_time_ms']
    return json.dumps({key: value[:200] if isinstance(value, str) else value for key, value in shown.items()},
                      ensure_ascii=False)[:900]


def run_jobs(setting, report, label, scripts, times=None):
    """Pushes the scripts, IN_FLIGHT at a time, and checks each result."""
    redis, waiting, flying = setting.redis, list(reversed(list(enumerate(scripts)))), {}
    while waiting or flying:
        while waiting and len(flying) < IN_FLIGHT:
            number, script = waiting.pop()
            job_id = f'{label}.{number}.{script.name}'
            flying[f'{PREFIX}reply:{job_id}'] = script
            redis('LPUSH', PREFIX + 'jobs', script.payload(job_id))
        answer = redis('BLPOP', *flying, RESULT_PATIENCE_S)
        if answer is None:
            raise Failure(f'no result within {RESULT_PATIENCE_S} s of any of: {" ".join(flying)}')
        key, raw = answer[0].decode(), answer[1].decode('utf-8')
        script, result = flying.pop(key), json.loads(raw)
        wrong = script.complaints(result, raw)
        if key != f'{PREFIX}reply:{result["id"]}':
            wrong.append(f'the result of another job, {result["id"]}')
        report.check(not wrong, f'{key[len(PREFIX + "reply:"):]}: {"; ".join(wrong)}\n  {summary(result)}')
        if times is not None:
            times.append((result['execution_time_ms'], script.name, result['status']))
        if report.verbose:
            print(f'{script.name}: {result["status"]} {result["execution_time_ms"]:.0f} ms', flush=True)


def check_nothing_left(setting, report):
    redis = setting.redis
    keys = [key.decode() for key in redis('KEYS', '*')]
    left = [key for key in keys if ':reply:' in key or ':claimed:' in key or key in (PREFIX + 'jobs', PREFIX + 'delayed')]
    report.check(not left, f'left in Redis: {left[:5]}')
    pid = setting.worker.pid
    report.check(setting.worker.poll() is None, 'the worker is gone')
    try:
        until('executors', lambda: len(children(pid)) == setting.children and all(is_there(*c) for c in children(pid).items()))
        report.check(True, '')
    except Failure:
        report.check(False, f'{len(children(pid))} children of the worker, not {setting.children}')


def check_end(setting, report):
    before = children(setting.worker.pid)
    setting.worker.send_signal(signal.SIGTERM)
    try:
        status = setting.worker.wait(30)
        report.check(status == 0, f'the worker ended with status {status}')
    except subprocess.TimeoutExpired:
        report.check(False, 'the worker did not end within 30 s of SIGTERM')
        return
    left = [pid for pid, started in before.items() if is_there(pid, started)]
    report.check(not left, f'executors left over: {left}')
    keys = [key.decode() for key in setting.redis('KEYS', '*claimed*')]
    report.check(not keys, f'still claimed: {keys}')


def held_jobs(setting, report, scripts, canary, times, first_pass):
    """Each script so many times in a row; `first_pass`: (milliseconds, name, status) of each."""
    soon = {name for ms, name, status in first_pass if status in ('ok', 'error') and ms <= HELD_MAX_MS}
    held = [script for script in scripts if script.name in soon]
    started = time.monotonic()
    for number, script in enumerate(held):
        run_jobs(setting, report, f'held{number}', [script] * times + [canary] * CANARY_TIMES)
    check_nothing_left(setting, report)
    print(f'held: {len(held)} scripts, {times} times each, in {time.monotonic() - started:.1f} s', flush=True)


def random_jobs(setting, report, scripts, jobs, seed):
    chance = random.Random(seed)
    order = [chance.choice(scripts) for _ in range(jobs)]
    first = min(BASELINE_JOBS, jobs)
    run_jobs(setting, report, f'{seed}.a', order[:first])
    check_nothing_left(setting, report)
    before = settled_kb(setting.worker.pid)
    run_jobs(setting, report, f'{seed}.b', order[first:])
    check_nothing_left(setting, report)
    after = settled_kb(setting.worker.pid)
    print(f'worker: {before} kB resident after {first} jobs, {after} kB after {jobs}; '
          f'{resident_kb(setting.worker.pid, "VmHWM")} kB at its peak', flush=True)
    report.check(after - before <= GROWTH_MAX_KB, f'the worker grew by {after - before} kB')


def main():
    parser = argparse.ArgumentParser(description='Hostile scripts through a real worker.')
    parser.add_argument('scripts', nargs='*', help='names of scripts; default: all')
    parser.add_argument('--jobs', type=int, default=300, help='in random order, after one pass (default 300)')
    parser.add_argument('--seed', type=int, default=None)
    parser.add_argument('--isolate', choices=('fresh', 'rewind'), default='fresh', help="the worker's setting")
    parser.add_argument('--times', type=int, default=1, help='each script so often in a row; of --isolate rewind')
    parser.add_argument('--verbose', action='store_true')
    parser.add_argument('--slowest', type=int, default=0, help='list so many of the pass')
    arguments = parser.parse_args()
    if arguments.times < 1 or (arguments.times > 1 and arguments.isolate != 'rewind'):
        parser.error(f'--times {arguments.times}: at least 1, and more than that only with --isolate rewind')
    if 'ASAN_OPTIONS' in os.environ:
        print('skipped: under AddressSanitizer resident sizes and times mean nothing')
        return 77
    bin_dir = os.environ.get('ISOQ_TEST_BIN_DIR') or sys.exit('ISOQ_TEST_BIN_DIR: the folder of isoq and isoq-executor')
    seed = arguments.seed if arguments.seed is not None else random.SystemRandom().randrange(1 << 32)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))

    folder = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'scripts')
    scripts = [Script(path) for path in sorted(glob.glob(folder + '/*.js'))]
    canary = next(script for script in scripts if script.name == CANARY)
    if arguments.scripts:
        scripts = [script for script in scripts if script.name in arguments.scripts]
    report, times = Report(arguments.verbose), []
    setting = Setting(os.path.abspath(bin_dir), arguments.isolate, EXECUTORS if arguments.times == 1 else 1)
    print(f'{len(scripts)} scripts, then {arguments.jobs} jobs with --seed {seed}', flush=True)
    try:
        setting.start()
        started = time.monotonic()
        run_jobs(setting, report, 'pass', scripts, times)
        check_nothing_left(setting, report)
        print(f'pass: {len(scripts)} scripts in {time.monotonic() - started:.1f} s', flush=True)
        for line in sorted(times, reverse=True)[:arguments.slowest]:
            print('  %.0f ms  %s  %s' % line)
        if arguments.times > 1:
            held_jobs(setting, report, scripts, canary, arguments.times, times)
        if arguments.jobs > 0 and scripts:
            random_jobs(setting, report, scripts, arguments.jobs, seed)
        check_end(setting, report)
    except (Failure, OSError) as error:
        report.check(False, f'{error}\nthe end of the worker\'s log:\n{setting.worker_log()}')
    finally:
        setting.end()
    print(f'{report.passed} passed, {report.failed} failed', flush=True)
    return 1 if report.failed else 0


if __name__ == '__main__':
    sys.exit(main())
