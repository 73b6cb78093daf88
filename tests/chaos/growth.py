#!/usr/bin/env python3
"""Many small jobs: every one has its result, no worker grows, and nothing stays in Redis but what has an end: replies
and done keys with their TTLs, and the counters.

  tests/chaos/growth.py [--jobs 100000]        needs ISOQ_TEST_BIN_DIR

pushes one kind of job to two workers. The resident size of a worker at rest is taken after a tenth of the jobs, when
every buffer has found its size, and at the end. It may differ by GROWTH_MAX_KB, since not always as many jobs are at
hand at once: less than a leak of one result a job makes of 20,000 jobs already.

  tests/chaos/growth.py --mixed [--isolate rewind] [--executor-max-jobs 1000000] [--undisturbed]

pushes the kinds of mixed.py to one worker, checks each result, and looks at the executors as well: after each tenth
(in short runs: third), all of them at rest. The broker, and the mean of the executors, may have grown by
GROWTH_MAX_SHARE between the first look and the last, and so may each executor that is there at both times. An executor is replaced after
--executor-max-jobs, and at once after a job that ended as timeout, oom, output_limit or cancelled, or had a process of
its own: few of these are among the jobs, and none with --undisturbed, which together with a high --executor-max-jobs
shows one executor's size over its whole life.
"""
import argparse
import json
import os
import re
import sys
import time
from collections import Counter

sys.dont_write_bytecode = True  # no files beside the sources
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'support'))
# pylint: disable=wrong-import-position
import mixed
from rig import (JOBS, PREFIX, SKIPPED, Failure, RedisServer, Rig, Worker, children, resident_kb, stat_fields,
                 under_asan, until)

EXECUTORS, SPARES = 2, 1
WORKERS = 2
BATCH = 500
BACKLOG_MAX = 4000
GROWTH_MAX_KB = 1024
GROWTH_MAX_SHARE = 0.10
PAGE_KB = os.sysconf('SC_PAGE_SIZE') // 1024
STEPS, STEPS_SHORT, SHORT_JOBS = 10, 3, 10000
NUDGE_JOBS, NUDGES_MAX = 50, 6
REPLY_TTL_S = 3600
PATIENCE_S = 120           # without any progress
SETTINGS = {'executors': EXECUTORS, 'reply_ttl_s': REPLY_TTL_S, 'log_level': 'warn'}
RECORD_TTL_S = 86400  # the default of record_ttl_s
MIXED_SETTINGS = {'executors': EXECUTORS, 'memory_mb': 64, 'record_ttl_s': 20, 'log_level': 'warn'}
KEYS_THAT_STAY = re.compile(r'isoq:\{default\}:(reply|done|record):g\d+$')


def payload(number):
    return json.dumps({'id': f'g{number}', 'code': 'input * 2', 'input': number})


def run_jobs(redis, first, last, make=payload, others=0):
    """Pushes them, never more than BACKLOG_MAX ahead of the workers, until all are processed. `others`: jobs besides."""
    pushed, progress_at, processed = first, time.monotonic(), first
    while processed < last:
        if pushed < last and pushed - processed < BACKLOG_MAX:
            until_number = min(pushed + BATCH, last)
            redis.many([('LPUSH', JOBS, make(number)) for number in range(pushed, until_number)])
            pushed = until_number
        else:
            time.sleep(0.02)
        now_processed = redis.stats().get('processed', 0) - others
        if now_processed > processed:
            processed, progress_at = now_processed, time.monotonic()
        elif time.monotonic() - progress_at > PATIENCE_S:
            raise Failure(f'{processed} of {last} jobs, and no more within {PATIENCE_S} s')
    until('nothing is claimed', lambda: not redis('EXISTS', JOBS) and not redis('KEYS', PREFIX + 'claimed:*'))


def at_rest_kb(pid):
    """The least of two seconds: what the last jobs took is given back in a moment."""
    deadline, least = time.monotonic() + 2, resident_kb(pid)
    while time.monotonic() < deadline:
        least = min(least, resident_kb(pid))
        time.sleep(0.05)
    return least


def check_results(redis, jobs):
    wrong = []
    for start in range(0, jobs, 1000):
        numbers = range(start, min(start + 1000, jobs))
        for number, replies in zip(numbers, redis.many([('LRANGE', f'{PREFIX}reply:g{n}', 0, -1) for n in numbers])):
            results = [json.loads(one) for one in replies]
            if len(results) != 1 or results[0]['status'] != 'ok' or results[0]['result'] != str(number * 2):
                wrong.append(f'g{number}: {len(results)} results: {replies[:1]}')
    return wrong


def check_keys(redis, jobs):
    """And says what there is."""
    wrong, kinds, ttls, record_ttls = [], Counter(), [], []
    for keys in batches(redis.keys()):
        for key, ttl in zip(keys, redis.many([('TTL', key) for key in keys])):
            match = KEYS_THAT_STAY.match(key)
            kinds[f'{match.group(1)}:*' if match else key.removeprefix(PREFIX)] += 1
            if match:
                (record_ttls if match.group(1) == 'record' else ttls).append(ttl)
            elif key != PREFIX + 'stats':
                wrong.append(f'left in Redis: {key}, a {redis("TYPE", key)}')
    if {kinds['reply:*'], kinds['done:*'], kinds['record:*']} != {jobs}:
        wrong.append(f'{kinds["reply:*"]} replies, {kinds["done:*"]} done keys and {kinds["record:*"]} records '
                     f'of {jobs} jobs')
    if not 0 < min(record_ttls) <= max(record_ttls) <= RECORD_TTL_S:
        wrong.append(f'TTLs of records from {min(record_ttls)} to {max(record_ttls)} s, not 1 to {RECORD_TTL_S}')
    if not 0 < min(ttls) <= max(ttls) <= REPLY_TTL_S:
        wrong.append(f'TTLs from {min(ttls)} to {max(ttls)} s, not 1 to {REPLY_TTL_S}')
    print(f'keys: {dict(sorted(kinds.items()))}; TTLs from {min(ttls)} to {max(ttls)} s; stats: {redis.stats()}',
          flush=True)
    return wrong


def batches(keys):
    for start in range(0, len(keys), 1000):
        yield keys[start:start + 1000]


def run(rig, jobs):
    redis = RedisServer(rig, arguments=['--appendonly', 'no']).start().ready().connect(60)
    url = f'unix://{rig.path("redis.sock")}'
    workers = [Worker(rig, f'worker-{number + 1}', url, SETTINGS) for number in range(WORKERS)]
    for worker in workers:
        until(f'{worker.name} has its executors', lambda one=worker: len(children(one.pid)) >= EXECUTORS)
    wrong, first = [], max(1, jobs // 10)
    started = time.monotonic()
    run_jobs(redis, 0, first)
    before = [at_rest_kb(worker.pid) for worker in workers]
    run_jobs(redis, first, jobs)
    took_s = time.monotonic() - started
    after = [at_rest_kb(worker.pid) for worker in workers]
    for worker, small, large in zip(workers, before, after):
        print(f'{worker.name}: {small} kB after {first} jobs, {large} kB after {jobs}', flush=True)
        if large - small > GROWTH_MAX_KB:
            wrong.append(f'{worker.name} grew by {large - small} kB; at most {GROWTH_MAX_KB} are allowed')
    for worker in workers:
        if (status := worker.stop()) != 0 or any(worker.read_log()):
            wrong.append(f'{worker.name} ended with status {status}; {worker.tail()}')
    wrong += check_results(redis, jobs) + check_keys(redis, jobs)
    if rig.orphans():
        wrong.append(f'executors left over: {rig.orphans()}')
    print(f'{jobs} jobs in {took_s:.0f} s', flush=True)
    return wrong


# ---- jobs of many kinds


class Sizes:
    """Of one worker and its executors, at rest, after each step.

    What the broker's malloc can give back when the last job ends is a matter of chance, a megabyte or two. So where it
    looks larger than at first, it is looked at again after a few more jobs.
    """

    def __init__(self, worker, redis):
        self.worker, self.redis, self.steps, self.last = worker, redis, [], None
        self.nudges = 0  # jobs pushed for that

    def nudge(self):
        names = [f'nudge{self.nudges + number}' for number in range(NUDGE_JOBS)]
        wanted = self.redis.stats()['processed'] + NUDGE_JOBS
        self.redis.many([('LPUSH', JOBS, json.dumps({'id': name, 'code': '1'})) for name in names])
        until('a few more jobs', lambda: self.redis.stats()['processed'] == wanted)
        self.redis('DEL', *[f'{PREFIX}reply:{name}' for name in names])
        self.nudges += NUDGE_JOBS

    def take(self, jobs):
        broker = at_rest_kb(self.worker.pid)
        for _ in range(NUDGES_MAX):
            if not self.steps or broker <= self.steps[0][0] * (1 + GROWTH_MAX_SHARE / 2):
                break
            self.nudge()
            broker = min(broker, at_rest_kb(self.worker.pid))
        executors = until('all executors are there, and at rest', self.settled)
        self.steps.append((broker, executors))
        listed = ', '.join(f'{kb} (process {pid}, {kb_mapped} mapped)' for (pid, _), (kb, kb_mapped) in sorted(executors.items()))
        print(f'{jobs:7} jobs: broker {broker} kB, executors {listed}', flush=True)

    def settled(self):
        """{(pid, start time): (resident kB, mapped kB)}; None: not all are there, or one still changes."""
        now = {child: memory_kb(child[0]) for child in children(self.worker.pid).items()}
        before, self.last = self.last, now
        if before == now and len(now) == EXECUTORS + SPARES and None not in now.values():
            return now
        time.sleep(0.3)
        return None

    def complaints(self):
        (broker, executors), (broker_then, executors_then) = self.steps[0], self.steps[-1]
        pairs = [('the broker', broker, broker_then)]
        for column, what in enumerate(('resident', 'mapped')):
            pairs.append((f'executors: {what}, their mean', mean(executors, column), mean(executors_then, column)))
            pairs += [(f'executor {one[0]}: {what}', executors[one][column], executors_then[one][column])
                      for one in executors if one in executors_then]
        return [f'{name}: from {kb} to {kb_then} kB; at most {GROWTH_MAX_SHARE:.0%} are allowed'
                for name, kb, kb_then in pairs if kb_then > kb * (1 + GROWTH_MAX_SHARE)]


def memory_kb(pid):
    """(VmRSS, VmSize); None: it is just ending."""
    fields = stat_fields(pid)
    return fields and (int(fields[21]) * PAGE_KB, int(fields[20]) // 1024)


def mean(executors, column):
    return sum(one[column] for one in executors.values()) // len(executors)


def check_mixed(redis, first, last, kinds, seen):
    """Of these jobs, and takes their results away."""
    wrong = []
    for start in range(first, last, BATCH):
        numbers = range(start, min(start + BATCH, last))
        for number, replies in zip(numbers, redis.many([('LRANGE', f'{PREFIX}reply:g{n}', 0, -1) for n in numbers])):
            complaint = mixed.complaint(number, kinds, replies)
            seen[mixed.kind_of(number, kinds).name] += 1
            if complaint:
                wrong.append(f'g{number}: {complaint}')
        redis('DEL', *[f'{PREFIX}reply:g{number}' for number in numbers])
    return wrong


def run_mixed(rig, options):
    redis = RedisServer(rig, arguments=['--appendonly', 'no']).start().ready().connect(60)
    worker = Worker(rig, 'worker-1', f'unix://{rig.path("redis.sock")}', {
        **MIXED_SETTINGS, 'isolate': options.isolate, 'executor_max_jobs': options.executor_max_jobs})
    kinds = mixed.KINDS + ([] if options.undisturbed else mixed.REPLACING)
    wrong, sizes, seen, started = [], Sizes(worker, redis), Counter(), time.monotonic()
    steps = STEPS if options.jobs >= SHORT_JOBS else STEPS_SHORT
    bounds = [options.jobs * step // steps for step in range(steps + 1)]
    for first, last in zip(bounds, bounds[1:]):
        run_jobs(redis, first, last, lambda number: mixed.payload(number, kinds), sizes.nudges)
        wrong += check_mixed(redis, first, last, kinds, seen)
        sizes.take(last)
    print(f'{options.jobs} jobs in {time.monotonic() - started:.0f} s: ' +
          ', '.join(f'{name} {count}' for name, count in seen.most_common()), flush=True)
    print(f'stats: {redis.stats()}', flush=True)
    wrong += sizes.complaints()
    if (status := worker.stop()) != 0 or any(worker.read_log()):
        wrong.append(f'the worker ended with status {status}; {worker.tail()}')
    if rig.orphans():
        wrong.append(f'executors left over: {rig.orphans()}')
    return wrong


def main():
    parser = argparse.ArgumentParser(description='Many small jobs: all results, no growth, nothing left.')
    parser.add_argument('--jobs', type=int, default=100000)
    parser.add_argument('--mixed', action='store_true', help='of many kinds, through one worker')
    parser.add_argument('--isolate', choices=('fresh', 'rewind'), default='fresh', help="with --mixed: the worker's setting")
    parser.add_argument('--executor-max-jobs', type=int, default=1000, help="with --mixed: the worker's setting")
    parser.add_argument('--undisturbed', action='store_true', help='with --mixed: no jobs after which an executor goes')
    arguments = parser.parse_args()
    if under_asan():
        print('skipped: under AddressSanitizer resident sizes mean nothing')
        return SKIPPED
    with Rig('isoq-growth-') as rig:
        try:
            wrong = run_mixed(rig, arguments) if arguments.mixed else run(rig, arguments.jobs)
        except Failure as failure:
            wrong = [str(failure)]
        for one in wrong[:12]:
            print(f'FAILED: {one}', flush=True)
        if wrong:
            rig.keep = True
            print(f'the logs are in {rig.dir}', flush=True)
    return 1 if wrong else 0


if __name__ == '__main__':
    sys.exit(main())
