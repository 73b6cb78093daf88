#!/usr/bin/env python3
"""No job is lost, whatever dies: workers, their executors, Redis and the network between them fail by a seeded schedule
(faults.py) while jobs of all kinds (jobs.py) are pushed and some of them cancelled (cancels.py). Then everything is let run dry, and each job is accounted for.

  tests/chaos/run.py --seconds 60 --seed 7        one run
  tests/chaos/run.py --seconds 60 --seeds 1-20    twenty, one after the other
  … --isolate rewind                              with executors that are put back as new after each job

Redis keeps an append-only file with `appendfsync always`: it then answers only when what it says is in the file, so a
kill -9 loses nothing that anybody was told about, and whatever is missing in the end was lost by isoq.

The producer pushes until Redis has acknowledged: a push whose answer was lost is made again, under the same id.
Replies are never popped, so the length of a reply list says how often a result was published.
Needs ISOQ_TEST_BIN_DIR. Exit status: 0 nothing was lost, 1 something was; then the logs stay, and their folder is
named.
"""
import argparse
import json
import os
import random
import sys
import threading
import time
import traceback
from collections import Counter

sys.dont_write_bytecode = True  # no files beside the sources
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'support'))
# pylint: disable=wrong-import-position
from cancels import Canceller
from faults import Faults
from jobs import KINDS
from proxy import Proxy
from rig import (JOBS, PREFIX, Failure, RedisError, RedisServer, Rig, Worker, children, is_there, random_seed,
                 until)

EXECUTORS = 2
QUEUES = ['high', 'default']  # in strict order
HIGH_SHARE = 0.3
OUTSTANDING_MAX = [2, 8, 40]  # by turns: workers that wait for jobs, and workers that have too many
TURN_S = 1.5
UNHEARD_PUSHES = 0.03    # of all
MAX_WORKER_DEATHS = 30   # so that a job is not given up for what the schedule does to its workers
LEASE_MS = 2000
SETTINGS = {
    'queue': ','.join(QUEUES), 'executors': EXECUTORS,
    'lease_ms': LEASE_MS, 'lease_renew_ms': 400, 'reap_interval_ms': 400,
    'memory_mb': 64,  # so that those jobs which use it up run where the others do
    'max_worker_deaths': MAX_WORKER_DEATHS, 'dead_letters_max': 1000000, 'log_level': 'debug',
}
DRAINED_PATIENCE_S = 90
DETAILS_MAX = 12


def queue_key(queue, name):
    return f'isoq:{{{queue}}}:{name}'


# ---- the producer


class Job:
    def __init__(self, job_id, number, kind, queue):
        self.id, self.number, self.kind, self.queue = job_id, number, kind, queue
        self.pushed_at_ms, self.pushes = 0, 0  # pushes: tried ones

    def key(self, name):
        return queue_key(self.queue, f'{name}:{self.id}')


class Producer(threading.Thread):
    """Keeps a number of jobs without a result, over connections of its own, not through the proxy."""

    def __init__(self, redis, chance, label, features, canceller):
        super().__init__(daemon=True)
        self.canceller = canceller
        self.server, self.chance, self.label = redis, chance, label
        self.kinds = [kind for kind in KINDS if kind.needs is None or kind.needs in features]
        self.jobs, self.outstanding = {}, set()
        self.connection, self.stopping, self.failure = None, threading.Event(), None
        self.submitted = 0

    def run(self):
        turn_ends_at, limit = 0, 0
        try:
            while not self.stopping.is_set():
                if time.monotonic() > turn_ends_at:
                    turn_ends_at, limit = time.monotonic() + TURN_S, self.chance.choice(OUTSTANDING_MAX)
                if len(self.outstanding) < limit:
                    self.push(self.next_job())
                else:
                    self.collect()
                    self.stopping.wait(0.03)
        except Exception:  # shown by the main thread
            self.failure = traceback.format_exc()

    def next_job(self):
        number = len(self.jobs)
        kind = self.chance.choices(self.kinds, [kind.weight for kind in self.kinds])[0]
        queue = QUEUES[self.chance.random() >= HIGH_SHARE]
        job = Job(f'{self.label}.{number}.{kind.name}', number, kind, queue)
        self.jobs[job.id] = job
        return job

    def push(self, job):
        """Until acknowledged: what was begun is ended, even when the run is over."""
        payload = job.kind.payload(job.id, job.number)
        job.pushed_at_ms = time.time() * 1000
        self.outstanding.add(job.id)
        if job.kind.cancelled:
            self.canceller.add(job)
        if self.chance.random() < UNHEARD_PUSHES:
            job.pushes += self.push_unheard(job, payload)
        while True:
            job.pushes += 1
            if self.ask([('LPUSH', queue_key(job.queue, 'jobs'), payload)]):
                self.submitted += 1
                return

    def push_unheard(self, job, payload):
        """Hangs up before the answer, as a producer in trouble would; 1 if it was sent."""
        try:
            connection = self.server.connect(1)
            connection.send('LPUSH', queue_key(job.queue, 'jobs'), payload)
            connection.close()
            return 1
        except OSError:
            return 0

    def collect(self):
        ids = sorted(self.outstanding)
        lengths = self.ask([('LLEN', self.jobs[job_id].key('reply')) for job_id in ids])
        self.outstanding -= {job_id for job_id, length in zip(ids, lengths or []) if length}

    def ask(self, commands):
        """The answers; None: Redis is not there, or the connection broke."""
        try:
            if self.connection is None:
                self.connection = self.server.connect(3)
            return self.connection.many(commands)
        except RedisError:  # LOADING
            time.sleep(0.02)
        except OSError:
            if self.connection:
                self.connection.close()
            self.connection = None
            time.sleep(0.02)
        return None


# ---- the setting


class Setting:
    def __init__(self, rig, worker_count, isolate):
        self.rig, self.worker_count, self.isolate = rig, worker_count, isolate
        self.redis = RedisServer(rig, arguments=['--appendonly', 'yes', '--appendfsync', 'always'])
        self.proxy = None
        self.workers, self.all_workers, self.draining, self.killed = [], [], [], set()
        self.refusing = False

    def start(self):
        self.redis.start().ready()
        self.proxy = Proxy(self.redis.socket)
        for _ in range(self.worker_count):
            self.new_worker()
        for worker in self.workers:
            until(f'{worker.name} is up', lambda one=worker: one.events('redis_up') and one.events('ready'), 60)

    def new_worker(self):
        """Every other one gives back what it runs when it is told to end; the rest let it end."""
        number = len(self.all_workers) + 1
        worker = Worker(self.rig, f'worker-{number}', f'redis://127.0.0.1:{self.proxy.port}/0',
                        {**SETTINGS, 'isolate': self.isolate, 'drain_timeout_s': 0 if number % 2 else 3})
        self.workers.append(worker)
        self.all_workers.append(worker)

    def retire(self, worker, draining=False):
        self.workers.remove(worker)
        if draining:
            self.draining.append(worker)
        else:
            self.killed.add(worker)

    def accept(self):
        self.refusing = False
        self.proxy.accept()


def features_of(setting):
    """Which of the younger fields the workers really honour: `retries`, `delays`."""
    redis, found, pushed_at_ms = setting.redis.connect(), set(), time.time() * 1000
    redis('LPUSH', JOBS, '{"id":"probe-retries","code":"throw 1","max_attempts":2,"backoff_ms":50}')
    redis('LPUSH', JOBS, '{"id":"probe-delays","code":"1","delay_ms":500}')
    results = {}
    for name in ('retries', 'delays'):
        key = f'{PREFIX}reply:probe-{name}'
        until(f'the result of probe-{name}', lambda one=key: redis('LLEN', one))
        results[name] = json.loads(redis('LINDEX', key, 0))
    if results['retries']['attempt'] == 2:
        found.add('retries')
    if results['delays']['started_at_ms'] - pushed_at_ms >= 500:
        found.add('delays')
    redis.close()
    return found


# ---- the audit


class Audit:
    def __init__(self, setting, producer, faults):
        self.setting, self.producer, self.faults = setting, producer, faults
        self.complaints = []
        self.results = self.letters = self.lost = self.twice = self.executed_twice = 0
        self.given_up = self.crashed = self.cancelled = self.begun = 0

    def complain(self, text):
        self.complaints.append(text)

    def check_jobs(self, redis):
        jobs = list(self.producer.jobs.values())
        letters = Counter()
        for raw in sum((redis('LRANGE', queue_key(queue, 'dead'), 0, -1) for queue in QUEUES), []):
            letters[json.loads(raw)['result'].get('id')] += 1
        replies = []
        for start in range(0, len(jobs), 500):
            replies += redis.many([('LRANGE', job.key('reply'), 0, -1) for job in jobs[start:start + 500]])
        done = redis.many([('EXISTS', job.key('done')) for job in jobs])
        for job, reply, is_done in zip(jobs, replies, done):
            self.check_job(job, [json.loads(one) for one in reply], letters[job.id], is_done)
        self.results, self.letters = sum(map(len, replies)), sum(letters[job.id] for job in jobs)
        if self.crashed > self.faults.executors_killed:
            self.complain(f'{self.crashed} results say crashed, but {self.faults.executors_killed} executors were killed')

    def check_job(self, job, reply, letters, is_done):
        if len(reply) > 1 or letters > 1:
            self.twice += 1
            self.complain(f'{job.id}: {len(reply)} results and {letters} dead letters; its pushes: {job.pushes}')
        if not reply:
            self.lost += letters == 0
            self.complain(f'{job.id}: no result, {letters} dead letters; its pushes: {job.pushes}')
            return
        result = reply[0]
        self.crashed += result['status'] == 'crashed'
        self.given_up += result['status'] == 'worker_lost'
        self.cancelled += result['status'] == 'cancelled'
        self.begun += result['status'] == 'cancelled' and result['stdout'] != ''
        wrong = job.kind.complaint(job.number, result)
        if wrong is None and result['id'] != job.id:
            wrong = f'the result of {result["id"]}'
        if wrong is None and not is_done:
            wrong = 'a result without a done key'
        if wrong is None and letters != job.kind.wants_letter(result):
            wrong = f'{result["status"]} with {letters} dead letters'
        if wrong is None and job.kind.name == 'delayed' and result['started_at_ms'] < job.pushed_at_ms - 1 + 700:
            wrong = f'started {result["started_at_ms"] - job.pushed_at_ms:.0f} ms after its push, which is too soon'
        if wrong:
            self.complain(f'{job.id}: {wrong} ({result["worker"]})')

    def check_redis(self, redis):
        for key in redis.keys():
            if ':claimed:' in key or key.endswith((':jobs', ':delayed', ':deaths', ':workers')):
                self.complain(f'left in Redis: {key}, a {redis("TYPE", key)}')

    def check_logs(self):
        """And what they tell about the run."""
        runs, self.events = Counter(), Counter()
        for worker in self.setting.all_workers:
            events, strange = worker.read_log()
            for line in strange[:3]:
                self.complain(f'{worker.name}.log has a line that is no event: {line[:300]}')
            for event in events:
                self.events[event['event']] += 1
                if event['event'] == 'job':
                    runs[event.get('id')] += 1
        self.executed_twice = sum(max(0, runs[job.id] - job.kind.attempts) for job in self.producer.jobs.values())
        if self.given_up and self.events['reaped'] < MAX_WORKER_DEATHS:
            self.complain(f'{self.given_up} jobs were given up, but workers reaped {self.events["reaped"]} times')

    def line(self, seed):
        cancelling = self.producer.canceller.line()
        counted = ', '.join(f'{name} {self.events[name]}' for name in (
            'result_fenced', 'result_duplicate', 'job_given_back', 'claim_recovered', 'reaped', 'redis_down'))
        pushes = sum(job.pushes for job in self.producer.jobs.values())
        return (f'seed {seed}: submitted {self.producer.submitted}, results {self.results}, '
                f'dead letters {self.letters}, lost {self.lost}, published twice {self.twice}, executed twice {self.executed_twice}, '
                f'faults: {self.faults.summary()}\n'
                f'  pushes tried {pushes}, cuts that struck {self.setting.proxy.cuts_made}, '
                f'workers {len(self.setting.all_workers)}; their logs: {counted}\n'
                f'  cancelled {self.cancelled}, {self.begun} of them while they ran: {cancelling}')


def all_answered(redis, producer):
    jobs = list(producer.jobs.values())
    lengths = []
    for start in range(0, len(jobs), 500):
        lengths += redis.many([('LLEN', job.key('reply')) for job in jobs[start:start + 500]])
    return all(lengths)


def run_dry(setting, producer, audit):
    """Until nothing is on its way any more."""
    redis = setting.redis.ready().connect()
    waiting = [queue_key(queue, name) for queue in QUEUES for name in ('jobs', 'delayed')]
    try:
        until('the producer ends', lambda: not producer.is_alive(), 60)
        until('every job has a result', lambda: all_answered(redis, producer), DRAINED_PATIENCE_S)
        until('nothing waits and nothing is claimed',
              lambda: not redis.keys('isoq:*:claimed:*') and not redis('EXISTS', *waiting),
              DRAINED_PATIENCE_S)
        until('only living workers have a lease',
              lambda: all(redis('ZCARD', queue_key(queue, 'workers')) == len(setting.workers) for queue in QUEUES),
              DRAINED_PATIENCE_S)
    except Failure as failure:
        keys = [key for key in redis.keys() if ':reply:' not in key and ':done:' not in key]
        audit.complain(f'{failure}; keys: {keys}')
    return redis


def check_none_is_deaf(setting, redis, audit, seed):
    """Each living worker must take jobs of each queue: small ones are pushed until it has logged one."""
    for queue in QUEUES:
        for number in range(100):
            waiting = [worker for worker in setting.workers if not any(
                event.get('queue') == queue and str(event.get('id')).startswith(f'{seed}.ear.')
                for event in worker.events('job'))]
            if not waiting:
                break
            if not all_served(setting, redis, audit, queue, f'{seed}.ear.{number}'):
                return
        else:
            audit.complain(f'deaf to {queue} after the faults: ' + ', '.join(worker.name for worker in waiting))


def all_served(setting, redis, audit, queue, label):
    ids = [f'{label}.{each}' for each in range(2 * EXECUTORS * len(setting.workers))]
    for job_id in ids:
        redis('LPUSH', queue_key(queue, 'jobs'),
              json.dumps({'id': job_id, 'code': 'await new Promise(done => setTimeout(done, 50))'}))
    for job_id in ids:
        if redis('BLPOP', queue_key(queue, f'reply:{job_id}'), 15) is None:
            audit.complain(f'after the faults: no result of {job_id} in queue {queue} within 15 s')
            return False
    return True


def check_exit(worker, status, audit):
    """A drain ends with 0; with 1 where Redis did not take the last results in time, which the worker says."""
    if status == 0 or status == 1 and worker.events('left_unconfirmed'):
        return
    audit.complain(f'{worker.name} ended with status {status}; {worker.tail()}')


def end_workers(setting, audit):
    executors = {}
    for worker in setting.workers:
        if not worker.alive():
            audit.complain(f'{worker.name} ended by itself, with status {worker.process.returncode}; {worker.tail()}')
            continue
        executors.update(children(worker.pid))
        status = worker.stop()
        if status != 0:
            audit.complain(f'{worker.name}: status {status} of its last drain; {worker.tail()}')
    for worker in setting.draining:
        check_exit(worker, worker.wait(), audit)
    try:
        until('executors of dead workers are gone', lambda: not setting.rig.orphans(), 20)
    except Failure as failure:
        audit.complain(f'{failure}: {setting.rig.orphans()}')
    left = [pid for pid, started in executors.items() if is_there(pid, started)]
    if left:
        audit.complain(f'executors left over: {left}')


def all_stats(redis):
    """Of all queues together; not the times among them."""
    total = Counter()
    for queue in QUEUES:
        total.update(redis.stats(queue))
    return {name: count for name, count in sorted(total.items()) if not name.endswith('_ms')}


def chaos(rig, seed, arguments):
    seconds, verbose = arguments.seconds, arguments.verbose
    setting = Setting(rig, arguments.workers, arguments.isolate)
    setting.start()
    features = features_of(setting)
    canceller = Canceller(setting, random.Random(f'{seed} cancels'), QUEUES)
    producer = Producer(setting.redis, random.Random(f'{seed} jobs'), str(seed), features, canceller)
    faults = Faults(setting, random.Random(seed), seconds)
    audit = Audit(setting, producer, faults)
    started = time.monotonic()
    canceller.start()
    producer.start()
    faults.run(started, seconds)
    producer.stopping.set()
    redis = run_dry(setting, producer, audit)
    canceller.end()
    dry_s = time.monotonic() - started - seconds
    for name, thread in (('producer', producer), ('canceller', canceller)):
        if thread.failure:
            audit.complain(f'the {name}: {thread.failure}')
    check_none_is_deaf(setting, redis, audit, seed)
    end_workers(setting, audit)
    audit.check_jobs(redis)
    audit.check_redis(redis)
    audit.check_logs()
    setting.proxy.end()
    print(audit.line(seed), flush=True)
    if verbose:
        print(f'  honoured: {", ".join(sorted(features)) or "neither retries nor delays"}; '
              f'run dry after {dry_s:.1f} s; stats: {all_stats(redis)}', flush=True)
    return audit.complaints


def one_run(seed, arguments):
    with Rig(f'isoq-chaos-{seed}-') as rig:
        try:
            complaints = chaos(rig, seed, arguments)
        except Failure as failure:
            complaints = [str(failure)]
            print(f'seed {seed}: {failure}', flush=True)
        except Exception:
            rig.keep = True
            print(f'seed {seed}: ended early; the logs are in {rig.dir}', flush=True)
            raise
        for complaint in complaints[:DETAILS_MAX]:
            print(f'FAILED: {complaint}', flush=True)
        if len(complaints) > DETAILS_MAX:
            print(f'… and {len(complaints) - DETAILS_MAX} more', flush=True)
        if complaints:
            rig.keep = True
            print(f'the logs are in {rig.dir}', flush=True)
        return not complaints


def seeds_of(text):
    first, _, last = text.partition('-')
    return range(int(first), int(last or first) + 1)


def main():
    parser = argparse.ArgumentParser(description='Workers, Redis and the network fail; no job is lost.')
    parser.add_argument('--seconds', type=float, default=60, help='of faults (default 60)')
    parser.add_argument('--seed', type=int, help='of the schedule and the jobs (default: random, and printed)')
    parser.add_argument('--seeds', type=seeds_of, help='several runs, one after the other: 1-20')
    parser.add_argument('--workers', type=int, default=3)
    parser.add_argument('--isolate', choices=('fresh', 'rewind'), default='fresh', help="the workers' setting")
    parser.add_argument('--verbose', action='store_true')
    arguments = parser.parse_args()
    seeds = arguments.seeds or [arguments.seed if arguments.seed is not None else random_seed()]
    failed = [seed for seed in seeds if not one_run(seed, arguments)]
    if len(seeds) > 1:
        print(f'{len(seeds) - len(failed)} of {len(seeds)} seeds without a loss; failed: {failed or "none"}',
              flush=True)
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main())
