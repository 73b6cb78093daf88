#!/usr/bin/env python3
"""Nothing is left behind: a script gives the same result whoever ran before it, and however it is isolated.

Generates --scripts scripts (kinds.py) from --seed and runs each one twice, over the frames of worker/wire.h. First in
the --mode that is tested:

  fresh    in a new isolate, in one of a few long-lived executors, in random order, polluters included. As in the
           pool, an executor is replaced after an end that is not clean, and only then.
  rewind   the same in executors that are put back as new after each script (executor_main.c).
  process  in a process of its own, as a worker with `isolate = rewind` starts it.

Then --against a reference:

  process  a process of its own. It costs some 80 ms of processor time for each script.
  fresh    a new isolate in a long-lived executor, which costs a few ms, and is for many scripts. What has run before
           is not the same there: the order is another random one, with other polluters before a script, and the
           executor is replaced after REFERENCE_MAX_JOBS. So a leak would have to come from two sets of predecessors
           to be equal in both. And every SAMPLE_EVERYth script, and each one that differs, is run in a process of its
           own as well: all three must be the same.

Status, result, result_type, stdout, stderr, console_output, truncated and error must be the same; times and memory
are not compared, but

  - the used executors' peak_memory_bytes of small scripts, asked for between the others, are within 20 % of a
    fresh executor's, and
  - after jobs that together took far more time and memory than its limits allow, a script is not stopped by them.

A reference must besides have a status which its kind permits, so that a template which never compiles is noticed.
A mismatch prints the script, what differs, and the one predecessor that causes it, if one alone does. Of a run, one
script again: --seed S --only N. The table at the end counts each kind; the last line is "N passed, N failed".
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
import kinds_engine  # registers its own
from wire import DEFAULT_MEMORY_MB, EXIT_REWIND, Executor, WireError

# After these the process stays.
CLEAN = {'ok', 'error'}
COMPARED = ('status', 'result', 'result_type', 'stdout', 'stderr', 'console_output', 'error', 'truncated')
BATCH = 2000  # scripts of which all results are kept
REFERENCE_MAX_JOBS = 64
SAMPLE_EVERY = 20
PROBE_EVERY = 25
PROBES = ({'code': '1 + 1'}, {'code': 'console.log({a: 1})'}, {'code': 'new URL("http://example.com/").href'})
PROBE_TOLERANCE = 0.2
CULPRITS_TRIED = 60
MISMATCHES_EXPLAINED = 5
SHOWN_CHARACTERS = 1500
# How much it used, and how long it ran, is in the message of a script that was stopped.
USED = re.compile(r'((?:^|: |after |and ))[\d.]+( (?:ms|MB))\b')
# By what a lack of memory is noticed first is chance: by the allocator, at a collection, or by V8, which gives up.
NOTICED = {'name': 'MemoryError', 'message': 'memory', 'stack': '', 'line': 0, 'column': 0}

print_lock = threading.Lock()


def say(*lines):
    with print_lock:
        print(*lines, sep='\n', flush=True)


def comparable(result):
    def mask(value):
        return USED.sub(r'\1N\2', value)

    out = {key: result[key] for key in COMPARED}
    if result['status'] in ('timeout', 'cpu_timeout', 'crashed'):
        out['stderr'] = mask(out['stderr'])
        out['error'] = {**out['error'], 'message': mask(out['error']['message']), 'stack': mask(out['error']['stack'])}
    elif result['status'] == 'oom':
        printed = out['stderr'][:out['stderr'].rindex(result['error']['message'])]
        out['stderr'] = printed[:printed.rfind('\n') + 1]
        out['error'] = NOTICED
    return out


def differences(one, other):
    return [key for key in COMPARED if one[key] != other[key]]


def shorten(value):
    text = value if isinstance(value, str) else json.dumps(value)
    text = text.encode('utf-8', 'backslashreplace').decode()
    return text if len(text) <= SHOWN_CHARACTERS else f'{text[:SHOWN_CHARACTERS]}… ({len(text)} characters)'


class Lane:
    """One executor after the other, and what each of them has served. `max_jobs`: of one executor; None: any number."""

    def __init__(self, run, arguments, max_jobs=None):
        self.run, self.arguments, self.max_jobs = run, arguments, max_jobs
        self.executor, self.served = None, []
        self.oldest = 0  # jobs of the longest-lived executor
        self.retired = 0  # executors that could not be rewound after a clean end

    def execute(self, job):
        if self.executor is None:
            self.executor, self.served = Executor(self.run.path, *self.arguments), []
        result = self.executor.run(job, self.run.patience_s)
        if self.executor.code == EXIT_REWIND and self.executor.used > 0:
            # It ended after its last result, and this job has not begun: the pool runs it in another one.
            self.retired += 1
            self.replace(clean=False)
            return self.execute(job)
        self.oldest = max(self.oldest, self.executor.used)
        self.retired += result['status'] in CLEAN and result['retire']
        if result['status'] not in CLEAN or result['retire']:
            self.replace(clean=False)
        elif self.executor.used == self.max_jobs:
            self.replace(clean=True)
        return result

    def replace(self, clean):
        executor, self.executor = self.executor, None
        if executor is None:
            return
        try:
            if clean:
                executor.finish()
        except WireError:
            if executor.code != EXIT_REWIND:
                raise
            self.retired += 1
        finally:
            executor.kill()


class Run:
    def __init__(self, options):
        self.path, self.seed, self.patience_s = options.executor, options.seed, options.patience
        self.spoil, self.jobs, self.count = options.spoil, options.jobs, options.scripts
        self.mode, self.against = options.mode, options.against
        self.arguments = [] if options.mode == 'fresh' else [f'--rewind={DEFAULT_MEMORY_MB}']
        self.scripts = {}         # of this batch, by index
        self.lanes = [Lane(self, self.arguments, 1 if self.mode == 'process' else None) for _ in range(self.jobs)]
        self.references = [Lane(self, [], REFERENCE_MAX_JOBS if self.against == 'fresh' else 1)
                           for _ in range(self.jobs)]
        self.passed, self.failures, self.explained, self.sampled = 0, 0, 0, 0
        self.lock = threading.Lock()
        self.used = {}            # index → (result, jobs that its executor had served)
        self.probes = [[] for _ in PROBES]  # (peak_memory_bytes, scripts served before)
        self.statuses, self.by_kind = collections.Counter(), collections.defaultdict(collections.Counter)
        self.seconds = collections.Counter()  # by kind, of the mode that is tested

    def fail(self, *lines):
        with self.lock:
            self.failures += 1
        say('', 'FAILED: ' + lines[0], *lines[1:])

    def one_fresh(self, job):
        return self.in_one(job)[-1]

    def in_one(self, *jobs, arguments=()):
        """Results of the jobs, in this order, in one new process, until one of them asks for its end."""
        lane, results = Lane(self, arguments), []
        try:
            for job in jobs:
                results.append(lane.execute(job))
                if lane.executor is None:
                    return results
            lane.replace(clean=True)
            return results
        finally:
            lane.replace(clean=False)

    # ---- the mode that is tested

    def run_lane(self, lane, indices):
        for count, index in enumerate(indices):
            started = time.monotonic()
            try:
                result = lane.execute(self.scripts[index]['job'])
                served = lane.served
                served.append(index)
                if count % PROBE_EVERY == PROBE_EVERY - 1:
                    self.probe(lane)
            except (WireError, EOFError) as error:
                self.fail(f'script {index} in a used executor: {error}', *self.describe(index))
                lane.replace(clean=False)
                continue
            if self.spoil and index % self.spoil == 0:
                result = {**result, 'stdout': result['stdout'] + 'spoilt'}
            with self.lock:
                self.used[index] = comparable(result), served, len(served) - 1
                self.seconds[self.scripts[index]['name']] += time.monotonic() - started

    def probe(self, lane):
        for probe, peaks in zip(PROBES, self.probes):
            served = lane.executor.used if lane.executor else 0
            peaks.append((lane.execute(probe)['peak_memory_bytes'], served))

    # ---- the reference, and the comparison

    def compare_lane(self, lane, indices):
        for index in indices:
            if index not in self.used:
                continue
            try:
                reference = comparable(lane.execute(self.scripts[index]['job']))
                own = None
                if self.against == 'fresh' and (index % SAMPLE_EVERY == 0 or differences(reference, self.used[index][0])):
                    own = comparable(self.one_fresh(self.scripts[index]['job']))
            except (WireError, EOFError) as error:
                self.fail(f'script {index} in a reference: {error}', *self.describe(index))
                lane.replace(clean=False)
                continue
            self.compare(index, reference, own)

    def compare(self, index, reference, own):
        script = self.scripts[index]
        used, served, count = self.used.pop(index)
        fresh = own or reference
        with self.lock:
            self.statuses[fresh['status']] += 1
            self.by_kind[script['name']][fresh['status']] += 1
            self.sampled += own is not None
        wrong = differences(fresh, used)
        if wrong:
            self.explain(index, fresh, used, wrong, served[:count])
        elif differences(fresh, reference):
            self.explain(index, fresh, reference, differences(fresh, reference), None)
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
        """`before`: what the executor had served; None: it was the reference, of the mode `fresh`."""
        lines, who = self.describe(index), self.mode if before is not None else 'reference'
        for key in wrong:
            lines += [f'---- {key}, fresh', shorten(fresh[key]), f'---- {key}, {who}', shorten(used[key])]
        with self.lock:
            self.explained += 1
            explain = self.explained <= MISMATCHES_EXPLAINED
        if explain and before is not None:
            lines.append('---- ' + self.culprit(index, fresh, before))
        self.fail(f'script {index} differs in {", ".join(wrong)}', *lines)

    def culprit(self, index, fresh, before):
        """Looks for one script after which this one gives another result than alone."""
        made = {one: kinds.make(self.seed, one) for one in [*before[-CULPRITS_TRIED:], index]}
        job = made[index]['job']
        try:
            if differences(fresh, comparable(self.one_fresh(job))):
                return 'two fresh executors differ, too: the script itself, or its time limit, is not deterministic'
            chain = [kinds.make(self.seed, one)['job'] for one in before] + [job]
            if not differences(fresh, comparable(self.in_one(*chain, arguments=self.arguments)[-1])):
                return f'not seen again after the same {len(before)} scripts'
            for one in reversed(before[-CULPRITS_TRIED:]):
                results = self.in_one(made[one]['job'], job, arguments=self.arguments)
                if len(results) == 2 and differences(fresh, comparable(results[1])):
                    return f'script {one} alone before it is enough ({made[one]["kind"]}):\n' + \
                        shorten(made[one]['job']['code'])
        except (WireError, EOFError) as error:
            return f'while looking for the cause: {error}'
        return f'none of the last {min(len(before), CULPRITS_TRIED)} scripts before it is enough alone'

    # ---- limits and memory

    def check_memory(self):
        for probe, probed in zip(PROBES, self.probes):
            fresh = sorted(self.one_fresh(probe)['peak_memory_bytes'] for _ in range(3))[1]
            peaks = [peak for peak, _ in probed] or [fresh]
            say(f'peak memory of `{probe["code"]}`: {fresh} bytes in a fresh executor, '
                f'{min(peaks)} to {max(peaks)} in used ones ({len(probed)} times)')
            for peak, served in probed:
                if abs(peak - fresh) > PROBE_TOLERANCE * fresh:
                    self.fail(f'after {served} scripts, `{probe["code"]}` has a peak of {peak} bytes, not {fresh}')
                    break
            else:
                self.passed += 1

    def check_chance(self):
        """What must not be the same: each job without a seed has random values of its own."""
        job = {'code': '[Math.random(), crypto.randomUUID(), crypto.getRandomValues(new Uint32Array(2)).join()]'}
        try:
            results = self.in_one(*[job, {**job, 'code': 'Math.random(); 1'}] * 10, arguments=self.arguments)
        except (WireError, EOFError) as error:
            self.fail(f'random values: {error}')
            return
        drawn = [json.dumps(value) for result in results[::2] for value in json.loads(result['result'])]
        if len(set(drawn)) != 30:
            self.fail('random values repeat from job to job', *drawn)
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
            # Where an executor cannot be rewound after such a job, there is nothing to be charged for.
            try:
                results = self.in_one(*jobs, arguments=self.arguments)
            except (WireError, EOFError) as error:
                self.fail(f'limits are a job\'s own: {name}: {error}')
                continue
            statuses = [result['status'] for result in results]
            same = all(comparable(result) == comparable(results[0]) for result in results)
            whole = len(results) == len(jobs) or results[-1]['retire']
            if not whole or statuses[0] not in CLEAN or not same:
                self.fail(f'limits are a job\'s own: {name}: {", ".join(statuses)}', shorten(results[-1]['error']))
            else:
                self.passed += 1

    # ---- the whole

    def batch(self, threads, first, last):
        """Lanes keep their executors from batch to batch. `threads`: one pool, since executors end with the thread
        that started them."""
        self.scripts = {index: kinds.make(self.seed, index) for index in range(first, last)}
        for name, lanes, work in (('order', self.lanes, self.run_lane), ('reference', self.references, self.compare_lane)):
            order = list(range(first, last))
            random.Random(f'{self.seed}/{name}/{first}').shuffle(order)
            for done in [threads.submit(work, lane, order[number::self.jobs]) for number, lane in enumerate(lanes)]:
                done.result()
        if last < self.count:
            say(f'{last} scripts, {self.failures} failed')

    def all(self):
        with concurrent.futures.ThreadPoolExecutor(self.jobs) as threads:
            for first in range(0, self.count, BATCH):
                self.batch(threads, first, min(first + BATCH, self.count))
            for lane in self.lanes + self.references:
                try:
                    lane.replace(clean=True)
                except WireError as error:
                    self.fail(f'an executor, after its last script: {error}')
        self.check_memory()
        if self.mode != 'process':
            self.check_chance()
            self.check_not_charged()

    def report(self, seconds):
        for name in sorted(self.by_kind):
            counts = self.by_kind[name]
            text = ', '.join(f'{status} {n}' for status, n in counts.most_common())
            say(f'{sum(counts.values()):6}  {name:42} {self.seconds[name] * 1000 / sum(counts.values()):6.0f} ms  {text}')
        references = ', '.join([f'against {self.against}'] + [f'{self.sampled} of them against a process, too'] *
                               (self.against == 'fresh'))
        say(f'{len(self.by_kind)} kinds; ' + ', '.join(f'{status} {n}' for status, n in self.statuses.most_common()),
            f'{self.mode}, {references}; longest life of a used executor: '
            f'{max(lane.oldest for lane in self.lanes)} jobs; not rewound after a clean end: '
            f'{sum(lane.retired for lane in self.lanes)}; {seconds:.0f} s; seed {self.seed}',
            f'{self.passed} passed, {self.failures} failed')


def show(options):
    """--only: the script, and its result in a fresh executor; after --after N, too."""
    run = Run(argparse.Namespace(**{**vars(options), 'scripts': 0}))
    chain = [kinds.make(options.seed, index) for index in options.after + [options.only]]
    script = chain[-1]
    print(f'kind: {script["kind"]}', script['job']['code'], sep='\n')
    for jobs, arguments in (([script['job']], []), ([one['job'] for one in chain], run.arguments)):
        print(json.dumps(run.in_one(*jobs, arguments=arguments)[-1], indent=1))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--scripts', type=int, default=500)
    parser.add_argument('--mode', choices=('fresh', 'rewind', 'process'), default='fresh', help='that is tested')
    parser.add_argument('--against', choices=('process', 'fresh'), default='process', help='the reference')
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
    say(f'seed {options.seed}, {options.scripts} scripts, mode {options.mode} against {options.against}, {options.executor}')
    started = time.monotonic()
    run = Run(options)
    run.all()
    run.report(time.monotonic() - started)
    return 1 if run.failures else 0


if __name__ == '__main__':
    sys.exit(main())
