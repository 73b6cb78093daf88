"""Part d: what grows, and what does not; and what a worker weighs.

 - workers: 1, 10 and 100 of them on one queue, each a real broker with its connections and lease, and an executor that
   runs no JavaScript: a hundred V8s would measure the machine's memory. All jobs are there from the start.
 - waiting jobs: the time for each of the first jobs while so many wait.
 - size of the result: one job in flight, `'x'.repeat(n)`.
 - weight: a worker with 2 idle executors and a spare one.
"""
import json
import time

from support import (JOBS, PREFIX, TINY, Failure, RedisServer, Rig, Variant, bench_program, children, cpu_s,
                     resident_mb, run_ms, start_worker, tree, until, wait_for, wait_for_workers)

BASE = {'log_level': 'error', 'executor_max_jobs': 1_000_000, 'record': 'false'}
SIZES = {'1 KB': 1000, '10 KB': 10_000, '100 KB': 100_000, '1 MB': 1_000_000, '8 MB': 8_000_000}
DONE = 'bench:done'  # one list for all replies: whoever waits on it sees each at once
STAGED = 'bench:staged'
IDLE_JOBS = 300


def job(name, code, **more):
    return json.dumps({'id': name, 'code': code, **more})


def stage(redis, first, count):
    """Puts jobs aside, whose results all go to DONE; RENAME lets them go in one moment."""
    for start in range(first, first + count, 1000):
        end = min(start + 1000, first + count)
        redis('LPUSH', STAGED, *[job(f'job{i}', TINY.script, reply_to=DONE, reply_ttl_s=60) for i in range(start, end)])


def take(redis, count):
    """The next results, checked."""
    left = count
    while left > 0:
        answer = redis('BLMPOP', 60, 1, DONE, 'LEFT', 'COUNT', left)
        if answer is None:
            raise Failure(f'no result within 60 s, {left} are left')
        for text in answer[1]:
            if json.loads(text)['result'] != TINY.expected:
                raise Failure(text.decode())
        left -= len(answer[1])


def time_jobs(redis, first, waiting, count):
    """→ seconds for the first `count` of `waiting` jobs"""
    stage(redis, first, waiting)
    began = time.monotonic()
    redis('RENAME', STAGED, JOBS)
    take(redis, count)
    return time.monotonic() - began


class Place:
    """A Redis, workers, a connection."""

    def __init__(self, rig, settings, workers=1):
        self.server = RedisServer(rig).start().ready()
        self.redis = self.server.connect(120)
        self.workers = [start_worker(rig, self.server, {**BASE, **settings}, f'worker{i}') for i in range(workers)]
        wait_for_workers(self.redis, self.workers)

    def pids(self):
        return [pid for worker in self.workers for pid in tree(worker.pid)]

    def end(self):
        self.redis.close()
        for worker in self.workers:
            worker.kill()
        self.server.kill()


def measure_workers(count, settings):
    null = {'executor_path': bench_program('bench-null-executor'), 'unlocked': 'true', 'isolate': 'fresh',
            'executors': 1, 'spare_executors': 0}
    with Rig('isoq-bench-') as rig:
        place = Place(rig, null, count)
        redis = place.redis
        jobs = max(200, 4 * count)
        seconds = time_jobs(redis, 0, jobs, jobs)
        first, jobs = jobs, max(200, int(jobs / seconds * settings.workers_s))
        before = cpu_s([place.server.process.pid])
        seconds = time_jobs(redis, first, jobs, jobs)
        redis_ms = (cpu_s([place.server.process.pid]) - before) * 1000 / jobs
        latencies = []
        for i in range(settings.latencies // 4):
            sent = time.monotonic()
            redis('LPUSH', JOBS, job(f'single{i}', TINY.script, reply_to=DONE))
            take(redis, 1)
            latencies.append((time.monotonic() - sent) * 1000)
        latencies.sort()
        clients = len(redis('CLIENT', 'LIST').splitlines()) - 1
        found = {'jobs': jobs, 'ms_per_job': seconds * 1000 / jobs, 'redis_cpu_ms': redis_ms, 'connections': clients,
                 'p50_ms': latencies[(len(latencies) - 1) // 2], 'memory_mb': resident_mb(place.pids())}
        place.end()
        return found


def measure_depth(depth, settings):
    with Rig('isoq-bench-') as rig:
        place = Place(rig, {'isolate': 'rewind', 'executors': 2})
        redis = place.redis
        time_jobs(redis, 0, 200, 200)
        count = min(depth, settings.depth_jobs)
        first, jobs, seconds = 1000, 0, 0
        while jobs < settings.depth_jobs:
            seconds += time_jobs(redis, first, depth, count)
            first, jobs = first + depth, jobs + count
        place.end()  # with what still waits
        return {'jobs': jobs, 'ms_per_job': seconds * 1000 / jobs}


def measure_size(size, settings):
    with Rig('isoq-bench-') as rig:
        place = Place(rig, {'isolate': 'rewind', 'executors': 1, 'spare_executors': 0})
        redis, broker = place.redis, place.workers[0].pid
        processes = {'redis_cpu_ms': place.server.process.pid, 'broker_cpu_ms': broker}
        times, began, warm_up, before = [], time.monotonic(), 3, {}
        while len(times) < warm_up + 8 or time.monotonic() - began < settings.results_s:
            if len(times) == warm_up:
                processes['executor_cpu_ms'], = children(broker)
                before = {what: run_ms(pid) for what, pid in processes.items()}
            name = f'job{len(times)}'
            sent = time.monotonic()
            redis('LPUSH', JOBS, job(name, f"'x'.repeat({size})"))
            _, text = redis('BLPOP', f'{PREFIX}reply:{name}', 60)
            times.append((time.monotonic() - sent) * 1000)
            if b'"status":"ok"' not in text[:400] or len(text) < size or b'x' * size not in text:
                raise Failure(f'a result of {size} bytes: {text[:400]}')
        times = sorted(times[warm_up:])
        found = {what: (run_ms(pid) - before[what]) / len(times) for what, pid in processes.items()}
        place.end()
        return {'jobs': len(times), 'ms_per_job': times[(len(times) - 1) // 2], 'bytes': size, **found}


def measure_weight(isolate):
    """Before its first job, and after some; the broker's own share too."""
    with Rig('isoq-bench-') as rig:
        place = Place(rig, {'isolate': isolate, 'executors': 2, 'spare_executors': 1, 'record': 'true',
                            'log_level': 'debug'})
        worker, redis = place.workers[0], place.redis
        until('two executors and a spare one are ready', lambda: len(worker.events('executor_ready')) >= 3)
        started = resident_mb(place.pids())
        time_jobs(redis, 0, IDLE_JOBS, IDLE_JOBS)
        wait_for(lambda: redis('LLEN', JOBS) == 0, 'the queue is empty')
        if len(tree(worker.pid)) < 4:
            raise Failure(f'a broker and three executors were expected: {tree(worker.pid)}')
        found = {'after_start_mb': started, 'after_jobs_mb': resident_mb(place.pids()),
                 'broker_mb': resident_mb([worker.pid])}
        place.end()
        return {name: value for name, value in found.items() if value is not None}


def variants(settings, _):
    found = [Variant('workers', str(n), lambda n=n: measure_workers(n, settings)) for n in settings.workers]
    found += [Variant('waiting jobs', f'{n:,}', lambda n=n: measure_depth(n, settings)) for n in settings.depths]
    found += [Variant('result size', name, lambda n=n: measure_size(n, settings)) for name, n in SIZES.items()]
    found += [Variant('weight', f'isoq `{mode}`', lambda m=mode: measure_weight(m)) for mode in ('rewind', 'fresh')]
    return found
