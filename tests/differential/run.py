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

With --times N (of --mode rewind), each script runs N times in a row in the same executor, and each of its results must
be the reference's. From the fifth time on, an executor that is rewound holds a script (executor_main.c). One that found it
not worth while, since fewer than 8 came, waits longer the next time; a row of a trivial script undoes that, where it must:
other scripts follow each other directly. What is never held, since it ends its executor or takes long, runs REPEATED_ANYWAY times. That scripts
are held at all is seen by what they cost then, and jobs that have nothing but their text in common are compared as well.

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
import kinds_held  # the same
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
REPEATED_ANYWAY = 2
REPEATED_MAX_CPU_MS = 100  # twice what is held
HOLD_AFTER, HOLD_WORTH, HOLD_CPU_MS = 4, 2, 50  # as in executor_main.c
CULPRIT_JOBS = 3000
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
        self.discouraged = False  # the executor may hold its next script later than HOLD_AFTER
        self.retired = 0  # executors that could not be rewound after a clean end

    def execute(self, job):
        if self.executor is None:
            self.executor, self.served = Executor(self.run.path, *self.arguments), []
            self.discouraged = False
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


class Used:
    """What a script's runs gave, one after the other. Of those that are equal, the first is kept."""

    def __init__(self, served):
        self.served, self.before = served, len(served)  # `served`: by the executor of the first time
        self.results, self.times = [], 0  # (which time, result)

    def add(self, result):
        self.times += 1
        if not self.results or differences(self.results[0][1], result):
            self.results.append((self.times, result))

    def first_wrong(self, reference):
        """(which time, result, what differs) of the first run that is not as the reference; None."""
        wrong = ((time, result, differences(reference, result)) for time, result in self.results)
        return next((one for one in wrong if one[2]), None)


class Run:
    def __init__(self, options):
        self.path, self.seed, self.patience_s = options.executor, options.seed, options.patience
        self.spoil, self.jobs, self.count = options.spoil, options.jobs, options.scripts
        self.mode, self.against, self.times = options.mode, options.against, options.times
        self.arguments = [] if options.mode == 'fresh' else [f'--rewind={DEFAULT_MEMORY_MB}']
        self.scripts = {}         # of this batch, by index
        self.lanes = [Lane(self, self.arguments, 1 if self.mode == 'process' else None) for _ in range(self.jobs)]
        self.references = [Lane(self, [], REFERENCE_MAX_JOBS if self.against == 'fresh' else 1)
                           for _ in range(self.jobs)]
        self.passed, self.failures, self.explained, self.sampled = 0, 0, 0, 0
        self.ran, self.repeated = 0, 0  # jobs of the tested mode; scripts that ran self.times times
        self.lock = threading.Lock()
        self.used = {}            # by index
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
                if self.times > HOLD_AFTER:
                    self.encourage(lane)
                used = self.repeat(lane, index)
                if count % PROBE_EVERY == PROBE_EVERY - 1:
                    self.probe(lane)
            except (WireError, EOFError) as error:
                self.fail(f'script {index} in a used executor: {error}', *self.describe(index))
                lane.replace(clean=False)
                continue
            with self.lock:
                self.used[index] = used
                self.ran += used.times
                self.repeated += used.times == self.times
                self.seconds[self.scripts[index]['name']] += time.monotonic() - started

    def repeat(self, lane, index):
        """Runs the script self.times times in a row, with nothing in between."""
        used, not_held = None, 0
        while used is None or used.times < self.times and not_held < REPEATED_ANYWAY:
            result = lane.execute(self.scripts[index]['job'])
            if used is None:
                used = Used(lane.served)
            lane.served.append(index)
            compared = comparable(result)
            if self.spoil and index % self.spoil == 0 and used.times == min(self.times, REPEATED_ANYWAY) - 1:
                compared['stdout'] += 'spoilt'
            used.add(compared)
            ended = lane.executor is None  # and the result may have no times
            not_held += ended or result['cpu_time_ms'] > REPEATED_MAX_CPU_MS
            lane.discouraged = not ended and (lane.discouraged or self.times < HOLD_AFTER * HOLD_WORTH or
                                              result['cpu_time_ms'] > HOLD_CPU_MS / 2)
        return used

    def encourage(self, lane):
        """So that the next script is held after HOLD_AFTER times: at most twice as many are asked for now."""
        if lane.executor is None or not lane.discouraged:
            return
        row = [lane.execute({'code': '0'})['result'] for _ in range(2 * HOLD_AFTER * HOLD_WORTH + 1)]
        if set(row) != {'0'}:
            counts = ', '.join(f'{value} ({count} times)' for value, count in collections.Counter(row).items())
            self.fail(f'0 gives {counts}')
        lane.discouraged = False

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
                if self.against == 'fresh' and (index % SAMPLE_EVERY == 0 or self.used[index].first_wrong(reference)):
                    own = comparable(self.one_fresh(self.scripts[index]['job']))
            except (WireError, EOFError) as error:
                self.fail(f'script {index} in a reference: {error}', *self.describe(index))
                lane.replace(clean=False)
                continue
            self.compare(index, reference, own)

    def compare(self, index, reference, own):
        script = self.scripts[index]
        used = self.used.pop(index)
        fresh = own or reference
        with self.lock:
            self.statuses[fresh['status']] += 1
            self.by_kind[script['name']][fresh['status']] += 1
            self.sampled += own is not None
        wrong = used.first_wrong(fresh)
        if wrong:
            self.explain(index, fresh, *wrong, used.served[:used.before + wrong[0] - 1])
        elif differences(fresh, reference):
            self.explain(index, fresh, 1, reference, differences(fresh, reference), None)
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

    def explain(self, index, fresh, time_of, used, wrong, before):
        """`before`: what the executor had served; None: it was the reference, of the mode `fresh`."""
        lines, who = self.describe(index), self.mode if before is not None else 'reference'
        if self.times > 1 and before is not None:
            who += f', time {time_of} of {self.times}'
        for key in wrong:
            lines += [f'---- {key}, fresh', shorten(fresh[key]), f'---- {key}, {who}', shorten(used[key])]
        with self.lock:
            self.explained += 1
            explain = self.explained <= MISMATCHES_EXPLAINED
        if explain and before is not None:
            lines.append('---- ' + self.culprit(index, fresh, time_of, before))
        self.fail(f'script {index} differs in {", ".join(wrong)} ({who})', *lines)

    def culprit(self, index, fresh, time_of, before):
        """Looks for one script after which this one gives another result than alone."""
        before = before[-CULPRIT_JOBS:]
        made = {one: kinds.make(self.seed, one) for one in {*before, index}}
        job = made[index]['job']
        try:
            if differences(fresh, comparable(self.one_fresh(job))):
                return 'two fresh executors differ, too: the script itself, or its time limit, is not deterministic'
            for times in {1, time_of, HOLD_AFTER + 1}:
                if self.differs_after([job] * (times - 1), job, fresh):
                    return f'alone in an executor of this mode, it differs the {times}. time'
            if not self.differs_after([made[one]['job'] for one in before], job, fresh):
                return f'not seen again after the {len(before)} jobs before it'
            row = [job] * (time_of - 1)
            for one in list(dict.fromkeys(reversed(before)))[:CULPRITS_TRIED]:
                if self.differs_after([made[one]['job']] * self.times + row, job, fresh):
                    return f'script {one} alone before it is enough ({made[one]["kind"]}):\n' + \
                        shorten(made[one]['job']['code'])
        except (WireError, EOFError) as error:
            return f'while looking for the cause: {error}'
        return f'none of the last {CULPRITS_TRIED} scripts before it is enough alone'

    def differs_after(self, before, job, fresh):
        results = self.in_one(*before, job, arguments=self.arguments)
        return len(results) == len(before) + 1 and bool(differences(fresh, comparable(results[-1])))

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
        orders = {'in turn with another': [job, {**job, 'code': 'Math.random(); 1'}] * 10, 'in a row': [job] * 30}
        for name, jobs in orders.items():
            try:
                results = self.in_one(*jobs, arguments=self.arguments)
            except (WireError, EOFError) as error:
                self.fail(f'random values {name}: {error}')
                continue
            drawn = [json.dumps(value) for result, of in zip(results, jobs) if of is job
                     for value in json.loads(result['result'] or 'null') or ['no result', shorten(result['error'])]]
            if len(set(drawn)) != 3 * sum(of is job for of in jobs):
                self.fail(f'random values repeat from job to job, {name}', *drawn)
            else:
                self.passed += 1

    def check_not_charged(self):
        """Jobs that use most of a limit, several times, in one executor: each has all of it."""
        burn = 'const end = Date.now() + 300; while (Date.now() < end); 1'
        keep = 'globalThis.kept = []; while (kept.length < 90) kept.push(new Uint8Array(1 << 20).fill(1)); kept.length'
        leave = 'for (let i = 0; i < 90; i++) setTimeout(() => {}, 1e6); null.x'
        grow = 'globalThis.m = new WebAssembly.Memory({initial: 1000}); 1'
        objects = 'globalThis.kept = Array.from({length: 500000}, (_, i) => ({i, s: [i]})); kept.length'
        few = max(3, self.times)
        sequences = {
            'processor time': [{'code': burn, 'cpu_ms': 2000}] * 9,
            'wall clock': [{'code': 'await new Promise((f) => setTimeout(f, 400)); 1', 'timeout_ms': 3000}] * 9,
            'buffers': [{'code': keep, 'memory_mb': 128}] * few,
            'heap': [{'code': objects, 'memory_mb': 96}] * few,
            'WebAssembly memory': [{'code': grow, 'memory_mb': 96}] * few,
            'timers': [{'code': leave, 'max_timers': 100}] * few,
            'output': [{'code': 'console.log("x".repeat(90))', 'max_output_bytes': 100}] * few,
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

    def check_held(self):
        """Scripts are held, and a second one, too. To compile these is nearly all that they cost."""
        body = ' '.join(f'n{i} = a{i % 9} + b.c{i % 7}(d[{i}]) * {i};' for i in range(400))
        first, second = ({'code': f'if (globalThis.never) {{ {body} }} {number}'} for number in (1, 2))
        jobs = [first] * (HOLD_AFTER * HOLD_WORTH + 1) + [second] * 3 * HOLD_AFTER
        try:
            costs = [result['cpu_time_ms'] for result in self.in_one(*jobs, arguments=self.arguments)]
        except (WireError, EOFError) as error:
            self.fail(f'scripts that are to be held: {error}')
            return
        for name, costs in ('first', costs[:-3 * HOLD_AFTER]), ('second', costs[-3 * HOLD_AFTER:]):
            before, held = (sorted(part)[len(part) // 2] for part in (costs[1:HOLD_AFTER], costs[-HOLD_AFTER:]))
            say(f'a script that takes long to compile, the {name}: {before:.2f} ms of processor time, '
                f'{held:.2f} ms when held')
            if held * 2 > before:
                self.fail(f'the executor did not hold a script, the {name}', ', '.join(f'{cost:.2f}' for cost in costs))
            else:
                self.passed += 1

    def check_same_text(self):
        """Held is a text. The jobs that have it can differ in all else; and one text can be two scripts."""
        code = ('var count = (globalThis.count ?? 0) + 1; function f(x) { return [x, typeof x, new Error("at").stack]; } '
                'console.log("in", input); [input, count, Math.random(), f(input), /(.)/g.exec(`${input}`)]')
        others = [{'code': code, 'input': json.dumps([i]) if i % 5 else json.dumps({'key': 'x' * i}), 'seed': i,
                   'max_output_bytes': 8 if i % 4 == 3 else 1 << 20,
                   'capture_console': i % 9 != 8} for i in range(40)]
        raw, text = {'code': '"1 + 1"', 'raw_code': True}, {'code': '1 + 1'}  # the same bytes on the wire
        sizes = [{**job, 'memory_mb': 64 if i % 7 == 6 else DEFAULT_MEMORY_MB} for i, job in enumerate(others)]
        turns = [raw] * 12 + [text] * 36 + [raw] * 36 + [raw, text] * 20
        orders = {'jobs with one text': others, 'the same, of other sizes': sizes, 'two scripts of one text': turns}
        for name, jobs in orders.items():
            try:
                fresh, held = (self.in_one(*jobs, arguments=arguments) for arguments in ([], self.arguments))
            except (WireError, EOFError) as error:
                self.fail(f'{name}: {error}')
                continue
            pairs = [(comparable(one), comparable(other)) for one, other in zip(fresh, held)]
            wrong = [number for number, pair in enumerate(pairs) if differences(*pair)]
            if len(held) != len(jobs) or len(fresh) != len(jobs):
                self.fail(f'{name}: only {len(fresh)} and {len(held)} of {len(jobs)} jobs in one executor')
            elif wrong:
                self.fail(f'{name}: job {wrong[0]} differs in {", ".join(differences(*pairs[wrong[0]]))}',
                          *map(shorten, (jobs[wrong[0]], *pairs[wrong[0]])))
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
        if self.times > HOLD_AFTER:
            self.check_held()
            self.check_same_text()

    def report(self, seconds):
        for name in sorted(self.by_kind):
            counts = self.by_kind[name]
            text = ', '.join(f'{status} {n}' for status, n in counts.most_common())
            say(f'{sum(counts.values()):6}  {name:42} {self.seconds[name] * 1000 / sum(counts.values()):6.0f} ms  {text}')
        references = ', '.join([f'against {self.against}'] + [f'{self.sampled} of them against a process, too'] *
                               (self.against == 'fresh'))
        if self.times > 1:
            say(f'{self.ran} jobs; {self.repeated} scripts {self.times} times in a row')
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
    repeated = [one['job'] for one in chain for _ in range(options.times)]
    for jobs, arguments in (([script['job']], []), (repeated, run.arguments)):
        print(json.dumps(run.in_one(*jobs, arguments=arguments)[-1], indent=1))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--scripts', type=int, default=500)
    parser.add_argument('--mode', choices=('fresh', 'rewind', 'process'), default='fresh', help='that is tested')
    parser.add_argument('--against', choices=('process', 'fresh'), default='process', help='the reference')
    parser.add_argument('--seed', type=int, default=1, help='0: a new one')
    parser.add_argument('--jobs', type=int, default=2, help='executors at a time')
    parser.add_argument('--patience', type=float, default=60, help='seconds beyond its timeout_ms that a job may take')
    parser.add_argument('--times', type=int, default=1, help='run each script so many times in a row; of --mode rewind')
    parser.add_argument('--only', type=int, help='run this script alone and print its result')
    parser.add_argument('--after', type=int, nargs='*', default=[], help='with --only: after these, in one executor')
    parser.add_argument('--spoil', type=int, default=0, help='change every Nth result, to see the test fail')
    default = os.path.join(os.path.dirname(os.path.abspath(__file__)), '../../build/release/bin/isoq-executor')
    parser.add_argument('--executor', default=os.environ.get('ISOQ_TEST_EXECUTOR', default))
    options = parser.parse_args()
    if options.times < 1:
        parser.error(f'--times {options.times}: at least 1')
    if options.times > 1 and options.mode != 'rewind':
        parser.error(f'--times {options.times} needs --mode rewind: with --mode {options.mode} no script is held')
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
