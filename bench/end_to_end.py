"""Part b: from LPUSH to the result through a real Redis. And its ceilings.

For each variant: a Redis of its own, a worker that has served some jobs, and then
 - throughput: jobs lie ready aside and become visible in one moment, when the clock starts; it stops when Redis says
   that the last is done. How many there are follows from the warm-up, so that every variant is measured for as long.
 - latency: the same client (peers/client.mjs) for both queues, one job in flight.
"""
import json
import subprocess
import time

from support import (PREFIX, TINY, Failure, RedisServer, Rig, Variant, Watch, bench_program, numbers_of, peer_script,
                     program_environment, resident_mb, start_worker, tree, wait_for, wait_for_workers)

CONCURRENCIES = (1, 2, 4)
BASE = {'log_level': 'error', 'executor_max_jobs': 1_000_000, 'record': 'false'}
NULL = {'executor_path': 'bench-null-executor', 'unlocked': 'true', 'isolate': 'fresh'}
REUSED = {'executor_path': 'bench-reused-executor', 'unlocked': 'true', 'isolate': 'fresh'}
CACHED = {'executor_path': 'bench-cached-executor', 'unlocked': 'true', 'isolate': 'fresh'}
OTHER = ', other scripts'  # what ends so: each job has a text of its own
# name: (settings of isoq, how many executors)
KINDS = {
    'isoq `rewind`': ({'isolate': 'rewind'}, CONCURRENCIES),
    f'isoq `rewind`{OTHER}': ({'isolate': 'rewind'}, CONCURRENCIES),
    'isoq `rewind`, records': ({'isolate': 'rewind', 'record': 'true'}, CONCURRENCIES),
    'isoq `fresh`': ({'isolate': 'fresh'}, CONCURRENCIES),
    'isoq `fresh`, records': ({'isolate': 'fresh', 'record': 'true'}, (2,)),
    'isoq `process`': ({'isolation': 'process', 'spare_executors': 2}, (2,)),
    'ceiling: no JavaScript': (NULL, CONCURRENCIES),
    'ceiling: no JavaScript, records': ({**NULL, 'record': 'true'}, (2,)),
    'ceiling: V8 alone': (REUSED, CONCURRENCIES),
    'ceiling: V8 alone, script cached': (CACHED, CONCURRENCIES),
}
# name: (processes, concurrency of each)
BULL = {'1': (1, 1), '2': (1, 2), '4': (1, 4), '2 × 2': (2, 2)}
WARM_UP = 10
COUNT_MIN, COUNT_MAX = 20, 60_000
BULL_COUNT_MAX = 2000  # BullMQ keeps some 10,000 events, in which its results are looked for


class IsoqSide:
    count_max = COUNT_MAX

    def __init__(self, rig, server, redis, settings, kind):
        self.redis, self.kind = redis, kind
        settings = {**BASE, **settings}
        if 'executor_path' in settings:
            settings['executor_path'] = bench_program(settings['executor_path'])
        self.worker = start_worker(rig, server, settings)
        wait_for_workers(redis, [self.worker])
        self.pids = lambda: tree(self.worker.pid)
        self.processed = 0

    def begin(self, count):
        self.target = self.processed + count

    def done(self, ask):
        if not self.worker.alive():
            raise Failure(f'the worker ended; {self.worker.tail()}')
        self.processed = int(ask('HGET', PREFIX + 'stats', 'processed') or 0)
        return self.processed >= self.target

    def check(self, first, count):
        """All replies, unread until now."""
        for start in range(first, first + count, 1000):
            names = range(start, min(start + 1000, first + count))
            texts = self.redis.many([['LPOP', f'{PREFIX}reply:job{i}'] for i in names])
            for i, text in zip(names, texts):
                result = json.loads(text) if text else None
                if not result or result['id'] != f'job{i}' or result['result'] != TINY.expected:
                    raise Failure(f'job{i}: {text}')

    def stop(self):
        if self.worker.stop() != 0:
            raise Failure(f'the worker ended with an error; {self.worker.tail()}')


class BullSide:
    kind, count_max = 'bullmq', BULL_COUNT_MAX

    def __init__(self, rig, server, redis, processes, concurrency):
        self.rig, self.redis = rig, redis
        self.workers = [rig.spawn(f'worker{i}.log', ['node', '--no-node-snapshot', peer_script('bullmq_worker.mjs'),
                                                     server.socket, str(concurrency)], program_environment())
                        for i in range(processes)]
        for i in range(processes):
            wait_for(lambda n=i: self.alive() and 'ready' in self.log(n), 'the BullMQ worker is ready', 60)
        self.pids = lambda: [pid for one in self.workers for pid in tree(one.pid)]

    def log(self, number):
        with open(self.rig.path(f'worker{number}.log'), encoding='utf-8', errors='replace') as file:
            return file.read()

    def alive(self):
        for number, process in enumerate(self.workers):
            if process.poll() is not None:
                raise Failure(f'a BullMQ worker ended: {self.log(number)[-2000:]}')
        return True

    def begin(self, count):
        self.redis('DEL', 'bull:bench:events')

    def done(self, ask):
        self.alive()
        return ask('LLEN', 'bull:bench:wait') == 0 and ask('LLEN', 'bull:bench:active') == 0

    def check(self, first, count):
        """Their results are in the events, which is where clients get them from."""
        values = {}
        for _, fields in self.redis('XRANGE', 'bull:bench:events', '-', '+'):
            event = {fields[i]: fields[i + 1] for i in range(0, len(fields), 2)}
            if event[b'event'] == b'completed':
                values[event[b'jobId'].decode()] = json.loads(event[b'returnvalue'])
        for i in range(first, first + count):
            if values.get(f'job{i}') != TINY.expected:
                raise Failure(f'BullMQ, job{i}: {values.get(f"job{i}")}')

    def stop(self):
        for process in self.workers:
            process.terminate()
        for number, process in enumerate(self.workers):
            if process.wait(30) != 0:
                raise Failure(f'a BullMQ worker ended with an error: {self.log(number)[-2000:]}')


def client(server, side, deed, rig, first, count):
    return ['node', peer_script('client.mjs'), side.kind, deed, server.socket, rig.path('job.js'), str(first),
            str(count)]


def throughput(rig, server, redis, side, first, count):
    """→ seconds, from the moment in which the worker can see the jobs."""
    stage = subprocess.Popen(client(server, side, 'stage', rig, first, count), stdin=subprocess.PIPE,
                             stdout=subprocess.PIPE, env=program_environment(), text=True)
    rig.processes.append(stage)
    if stage.stdout.readline() != 'staged\n':
        raise Failure('the client could not put the jobs aside')
    side.begin(count)
    watch = Watch(redis, server.process.pid, side.pids)
    began = time.monotonic()
    stage.stdin.write('go\n')
    stage.stdin.flush()
    if stage.stdout.readline() != 'gone\n':
        raise Failure('the client could not let the jobs go')
    wait_for(lambda: side.done(watch.ask), f'{count} jobs are done', pause_s=0.005)
    seconds = time.monotonic() - began
    found = watch.end(count)
    if stage.wait(30) != 0:
        raise Failure('the client ended with an error')
    side.check(first, count)
    return seconds, found


def measure(make_side, settings):
    with Rig('isoq-bench-') as rig:
        with open(rig.path('job.js'), 'w', encoding='utf-8') as file:
            file.write(TINY.script)
        server = RedisServer(rig).start().ready()
        redis = server.connect(120)
        side = make_side(rig, server, redis)
        first, count = 0, WARM_UP
        # The first has what is loaded late in it; the second tells how many jobs fill the time.
        for share in (0.2, 1, None):
            seconds, found = throughput(rig, server, redis, side, first, count)
            first += count
            if share is not None:
                count = int(max(COUNT_MIN, min(count / seconds * settings.end_to_end_s * share, side.count_max)))
        found['memory_mb'] = resident_mb(side.pids())
        found['jobs'], found['jobs_per_s'] = count, count / seconds
        single = numbers_of(client(server, side, 'latency', rig, first, settings.latencies) +
                            [TINY.expected, str(settings.end_to_end_s)])
        found['p50_ms'], found['p99_ms'] = single['p50_ms'], single['p99_ms']
        side.stop()
        redis.close()
        server.kill()
        return found


def variants(settings, missing_peers):
    def isoq(name, values, executors):
        kind = 'isoq-other' if name.endswith(OTHER) else 'isoq'
        return lambda: measure(lambda rig, server, redis: IsoqSide(
            rig, server, redis, {**values, 'executors': executors}, kind), settings)

    def bull(processes, concurrency):
        return lambda: measure(lambda rig, server, redis: BullSide(
            rig, server, redis, processes, concurrency), settings)

    found = [Variant('end to end', f'{name} | {executors}', isoq(name, values, executors))
             for name, (values, counts) in KINDS.items() for executors in counts]
    why = missing_peers['bullmq'] or missing_peers['isolated-vm']
    found += [Variant('end to end', f'BullMQ + isolated-vm | {label}', bull(*how), why and f'not installed: {why}')
              for label, how in BULL.items()]
    return found
