#!/usr/bin/env python3
"""Nothing is left behind: a script gives the same result in a new process and in an executor that has served others.

Generates --scripts scripts (kinds.py) from --seed and runs each one twice, over the frames of worker/wire.h:

  used    in one of a few long-lived executors, in random order, polluters included. As in the pool, an executor is
          replaced after an end that is not clean, and only then.
  fresh   in a process of its own.

With --mode rewind the used ones are put back as new after each script (executor_main.c); the others never are.

Status, result, result_type, stdout, stderr, console_output, truncated and error must be the same; times and memory
are not compared, but

  - the used executors' peak_memory_bytes of small scripts, asked for between the others, are within 20 % of a
    fresh executor's, and
  - after jobs that together took far more time and memory than its limits allow, a script is not stopped by them.

A fresh result must besides have a status which its kind permits, so that a template which never compiles is noticed.
A mismatch prints the script, what differs, and the one predecessor that causes it, if one alone does. Of a run, one
script again: --seed S --only N. The last line is "N passed, N failed".
"""
import argparse
import collections
import concurrent.futures
import json
import os
import random
import re
import sys
import threading
import time

sys.dont_write_bytecode = True  # no files beside the sources

import kinds
from wire import DEFAULT_MEMORY_MB, Executor, WireError

# The pool's rule (worker/executor.c): after these the process stays.
CLEAN = {'ok', 'error', 'output_limit'}
COMPARED = ('status', 'result', 'result_type', 'stdout', 'stderr', 'console_output', 'error', 'truncated')
PROBE_EVERY = 25
PROBES = ({'code': '1 + 1'}, {'code': 'console.log({a: 1})'}, {'code': 'new URL("http://example.com/").href'})
PROBE_TOLERANCE = 0.2
CULPRITS_TRIED = 60
MISMATCHES_EXPLAINED = 5
SHOWN_CHARACTERS = 1500
# How much it used, and how long it ran, is in the message of a script that was stopped.
USED = re.compile(r'((?:^|: |after |and ))[\d.]+( (?:ms|MB))\b')

print_lock = threading.Lock()


def say(*lines):
    with print_lock:
        print(*lines, sep='\n', flush=True)


def comparable(result):
    def mask(value):
        return USED.sub(r'\1N\2', value)

    out = {key: result[key] for key in COMPARED}
    if result['status'] in ('timeout', 'cpu_timeout', 'oom', 'crashed'):
        out['stderr'] = mask(out['stderr'])
        out['error'] = {**out['error'], 'message': mask(out['error']['message']), 'stack': mask(out['error']['stack'])}
    return out


def differences(fresh, used):
    return [key for key in COMPARED if fresh[key] != used[key]]


def shorten(value):
    text = value if isinstance(value, str) else json.dumps(value)
    text = text.encode('utf-8', 'backslashreplace').decode()
    return text if len(text) <= SHOWN_CHARACTERS else f'{text[:SHOWN_CHARACTERS]}… ({len(text)} characters)'


class Lane:
    """One used executor after the other, and what each of them has served."""

    def __init__(self, run):
        self.run, self.executor, self.served = run, None, []
        self.oldest = 0  # jobs of the longest-lived executor
        self.retired = 0  # executors that could not be rewound after a clean end

    def execute(self, job):
        if self.executor is None:
            self.executor, self.served = Executor(self.run.path, *self.run.arguments), []
        result = self.executor.run(job, self.run.patience_s)
        self.oldest = max(self.oldest, self.executor.used)
        self.retired += result['status'] in CLEAN and result['retire']
        if result['status'] not in CLEAN or result['retire']:
            self.replace(clean=False)
        return result

    def replace(self, clean):
        executor, self.executor = self.executor, None
        if executor is None:
            return
        try:
            if clean:
                executor.finish()
        finally:
            executor.kill()


class Run:
    def __init__(self, options):
        self.path, self.seed, self.patience_s = options.executor, options.seed, options.patience
        self.spoil, self.jobs = options.spoil, options.jobs
        self.arguments = [f'--rewind={DEFAULT_MEMORY_MB}'] if options.mode == 'rewind' else []
        self.retired = 0
        self.scripts = [kinds.make(options.seed, index) for index in range(options.scripts)]
        self.passed, self.failures, self.explained = 0, 0, 0
        self.lock = threading.Lock()
        self.used = {}            # index → (result, what its executor served, how many before)
        self.probes = [[] for _ in PROBES]  # (peak_memory_bytes, scripts served before)
        self.statuses, self.by_kind = collections.Counter(), collections.defaultdict(collections.Counter)
        self.oldest = 0

    def fail(self, *lines):
        with self.lock:
            self.failures += 1
        say('', 'FAILED: ' + lines[0], *lines[1:])

    def one_fresh(self, *jobs):
        """Results of the jobs, in this order, in one new process; several: of the mode that is tested."""
        executor, results = Executor(self.path, *(self.arguments if len(jobs) > 1 else [])), []
        try:
            for job in jobs:
                results.append(executor.run(job, self.patience_s))
                if results[-1]['status'] not in CLEAN:
                    return results
            executor.finish()
            return results
        finally:
            executor.kill()

    # ---- used

    def run_lane(self, indices):
        lane = Lane(self)
        try:
            for count, index in enumerate(indices):
                try:
                    result = lane.execute(self.scripts[index]['job'])
                except (WireError, EOFError) as error:
                    self.fail(f'script {index} in a used executor: {error}', *self.describe(index))
                    lane.replace(clean=False)
                    continue
                if self.spoil and index % self.spoil == 0:
                    result = {**result, 'stdout': result['stdout'] + 'spoilt'}
                self.used[index] = comparable(result), lane.served, len(lane.served)
                lane.served.append(index)
                if count % PROBE_EVERY == PROBE_EVERY - 1:
                    served = len(lane.served) if lane.executor else 0
                    for probe, peaks in zip(PROBES, self.probes):
                        peaks.append((lane.execute(probe)['peak_memory_bytes'], served))
            lane.replace(clean=True)
        except (WireError, EOFError) as error:
            self.fail(f'a used executor, between scripts: {error}')
            lane.replace(clean=False)
        with self.lock:
            self.oldest = max(self.oldest, lane.oldest)
            self.retired += lane.retired

    # ---- fresh, and the comparison

    def compare(self, index):
        script = self.scripts[index]
        if index not in self.used:
            return
        try:
            fresh = comparable(self.one_fresh(script['job'])[0])
        except (WireError, EOFError) as error:
            self.fail(f'script {index} in a fresh executor: {error}', *self.describe(index))
            return
        used, served, count = self.used.pop(index)
        with self.lock:
            self.statuses[fresh['status']] += 1
            self.by_kind[script['name']][fresh['status']] += 1
        wrong = differences(fresh, used)
        if wrong:
            self.explain(index, fresh, used, wrong, served[:count])
        elif script['statuses'] is not None and fresh['status'] not in script['statuses']:
            self.fail(f'script {index} ended as {fresh["status"]}, not {"|".join(sorted(script["statuses"]))}',
                      *self.describe(index), '---- error', shorten(fresh['error']))
        else:
            with self.lock:
                self.passed += 1

    def describe(self, index):
        script = self.scripts[index]
        job = {key: value for key, value in script['job'].items() if key != 'code'}
        return [f'kind: {script["kind"]}', f'job: {json.dumps(job)}', f'again: --seed {self.seed} --only {index}',
                '---- code', shorten(script['job']['code'])]

    def explain(self, index, fresh, used, wrong, before):
        lines = self.describe(index)
        for key in wrong:
            lines += [f'---- {key}, fresh', shorten(fresh[key]), f'---- {key}, used', shorten(used[key])]
        with self.lock:
            self.explained += 1
            explain = self.explained <= MISMATCHES_EXPLAINED
        if explain:
            lines.append('---- ' + self.culprit(index, fresh, before))
        self.fail(f'script {index} differs in {", ".join(wrong)}', *lines)

    def culprit(self, index, fresh, before):
        """Looks for one script after which this one gives another result than alone."""
        job = self.scripts[index]['job']
        try:
            if differences(fresh, comparable(self.one_fresh(job)[0])):
                return 'two fresh executors differ, too: the script itself, or its time limit, is not deterministic'
            chain = [self.scripts[one]['job'] for one in before] + [job]
            if not differences(fresh, comparable(self.one_fresh(*chain)[-1])):
                return f'not seen again after the same {len(before)} scripts'
            for one in reversed(before[-CULPRITS_TRIED:]):
                results = self.one_fresh(self.scripts[one]['job'], job)
                if len(results) == 2 and differences(fresh, comparable(results[1])):
                    return f'script {one} alone before it is enough ({self.scripts[one]["kind"]}):\n' + \
                        shorten(self.scripts[one]['job']['code'])
        except (WireError, EOFError) as error:
            return f'while looking for the cause: {error}'
        return f'none of the last {min(len(before), CULPRITS_TRIED)} scripts before it is enough alone'

    # ---- limits and memory

    def check_memory(self):
        for probe, probed in zip(PROBES, self.probes):
            fresh = sorted(self.one_fresh(probe)[0]['peak_memory_bytes'] for _ in range(3))[1]
            peaks = [peak for peak, _ in probed] or [fresh]
            say(f'peak memory of `{probe["code"]}`: {fresh} bytes in a fresh executor, '
                f'{min(peaks)} to {max(peaks)} in used ones ({len(probed)} times)')
            for peak, served in probed:
                if abs(peak - fresh) > PROBE_TOLERANCE * fresh:
                    self.fail(f'after {served} scripts, `{probe["code"]}` has a peak of {peak} bytes, not {fresh}')
                    break
            else:
                self.passed += 1

    def check_not_charged(self):
        """Jobs that use most of a limit, several times, in one executor: each has all of it."""
        burn = 'const end = Date.now() + 300; while (Date.now() < end); 1'
        keep = 'globalThis.kept = []; while (kept.length < 90) kept.push(new Uint8Array(1 << 20).fill(1)); kept.length'
        leave = 'for (let i = 0; i < 90; i++) setTimeout(() => {}, 1e6); null.x'
        grow = 'globalThis.m = new WebAssembly.Memory({initial: 1000}); 1'
        objects = 'globalThis.kept = Array.from({length: 500000}, (_, i) => ({i, s: [i]})); kept.length'
        sequences = {
            'processor time': [{'code': burn, 'cpu_ms': 2000}] * 9,
            'wall clock': [{'code': 'await new Promise((f) => setTimeout(f, 400)); 1', 'timeout_ms': 3000}] * 9,
            'buffers': [{'code': keep, 'memory_mb': 128}] * 3,
            'heap': [{'code': objects, 'memory_mb': 96}] * 3,
            'WebAssembly memory': [{'code': grow, 'memory_mb': 96}] * 3,
            'timers': [{'code': leave, 'max_timers': 100}] * 3,
            'output': [{'code': 'console.log("x".repeat(90))', 'max_output_bytes': 100}] * 3,
        }
        for name, jobs in sequences.items():
            try:
                results = self.one_fresh(*jobs)
            except (WireError, EOFError) as error:
                self.fail(f'limits are a job\'s own: {name}: {error}')
                continue
            statuses = [result['status'] for result in results]
            same = all(comparable(result) == comparable(results[0]) for result in results)
            if len(results) != len(jobs) or statuses[0] not in CLEAN or not same:
                self.fail(f'limits are a job\'s own: {name}: {", ".join(statuses)}', shorten(results[-1]['error']))
            else:
                self.passed += 1

    # ---- the whole

    def all(self):
        order = list(range(len(self.scripts)))
        random.Random(f'{self.seed}/order').shuffle(order)
        with concurrent.futures.ThreadPoolExecutor(self.jobs) as threads:
            for done in [threads.submit(self.run_lane, order[lane::self.jobs]) for lane in range(self.jobs)]:
                done.result()
            for done in [threads.submit(self.compare, index) for index in range(len(self.scripts))]:
                done.result()
        self.check_memory()
        self.check_not_charged()

    def report(self, seconds):
        for name in sorted(self.by_kind):
            counts = self.by_kind[name]
            text = ', '.join(f'{status} {n}' for status, n in counts.most_common())
            say(f'{sum(counts.values()):6}  {name:42} {text}')
        say(f'{len(self.by_kind)} kinds; ' + ', '.join(f'{status} {n}' for status, n in self.statuses.most_common()),
            f'longest life of a used executor: {self.oldest} jobs; not rewound after a clean end: {self.retired}; {seconds:.0f} s; seed {self.seed}',
            f'{self.passed} passed, {self.failures} failed')


def show(options):
    """--only: the script, and its result in a fresh executor; after --after N, too."""
    run = Run(argparse.Namespace(**{**vars(options), 'scripts': 0}))
    chain = [kinds.make(options.seed, index) for index in options.after + [options.only]]
    script = chain[-1]
    print(f'kind: {script["kind"]}', script['job']['code'], sep='\n')
    for jobs in ([script['job']], [one['job'] for one in chain]):
        print(json.dumps(run.one_fresh(*jobs)[-1], indent=1))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--scripts', type=int, default=500)
    parser.add_argument('--mode', choices=('fresh', 'rewind'), default='fresh', help='of the used executors')
    parser.add_argument('--seed', type=int, default=1, help='0: a new one')
    parser.add_argument('--jobs', type=int, default=2, help='executors at a time')
    parser.add_argument('--patience', type=float, default=60, help='seconds beyond its timeout_ms that a job may take')
    parser.add_argument('--only', type=int, help='run this script alone and print its result')
    parser.add_argument('--after', type=int, nargs='*', default=[], help='with --only: after these, in one executor')
    parser.add_argument('--spoil', type=int, default=0, help='change every Nth result, to see the test fail')
    default = os.path.join(os.path.dirname(os.path.abspath(__file__)), '../../build/release/bin/isoq-executor')
    parser.add_argument('--executor', default=os.environ.get('ISOQ_TEST_EXECUTOR', default))
    options = parser.parse_args()
    options.seed = options.seed or random.SystemRandom().randrange(1, 2**31)
    sys.stdout.reconfigure(encoding='utf-8', errors='backslashreplace')
    if options.only is not None:
        return show(options)
    say(f'seed {options.seed}, {options.scripts} scripts, {options.executor}')
    started = time.monotonic()
    run = Run(options)
    run.all()
    run.report(time.monotonic() - started)
    return 1 if run.failures else 0


if __name__ == '__main__':
    sys.exit(main())
