#!/usr/bin/env python3
"""A Sentinel fail-over under load: three sentinels, a primary, a replica, two workers, a producer; all local.

First the primary is killed (and comes back later, as a replica), then the new primary is stopped for longer than
down-after-milliseconds, so that it wakes up believing that it is the primary still. After each, the workers must be
up again within PATIENCE_S, each of them must serve a job alone, and in the end every job whose push a replica had
confirmed (WAIT 1) has one result.

What Redis promises, and this measures: replication is asynchronous, so a primary that dies takes with it what it had
answered and not yet sent on. A replica's data is always a prefix of its primary's, so a job pushed and confirmed by
WAIT is in it, waiting, claimed, or done; what is lost is at most its later steps, and the workers make those again.
A result may therefore be made twice, in two histories of which Redis has dropped one: "made again" counts those that
the producer had seen. Most come from the second fault: a primary that was believed dead wakes up and goes on alone,
until the Sentinels tell it. With --min-replicas it accepts no write without a replica, which leaves of that window the
commands that were in its sockets when it woke up, at the price that nothing is written until the replica is back.

  tests/chaos/failover.py [--min-replicas]
  tests/chaos/failover.py --topology-only     without isoq: what the test itself stands on

Needs ISOQ_TEST_BIN_DIR, but for --topology-only.
"""
import argparse
import json
import os
import signal
import sys
import threading
import time
import traceback

sys.dont_write_bytecode = True  # no files beside the sources
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'support'))
# pylint: disable=wrong-import-position
from rig import JOBS, PREFIX, Failure, Redis, RedisError, RedisServer, Rig, Sentinel, Worker, free_port, until

NAME = 'isoq-primary'
DOWN_AFTER_MS = 1000
FAILOVER_TIMEOUT_MS = 2000   # sentinels make no second attempt within twice this time
PATIENCE_S = 60
OUTSTANDING_MAX = 30
SETTINGS = {'executors': 2, 'lease_ms': 3000, 'lease_renew_ms': 500, 'reap_interval_ms': 500, 'max_worker_deaths': 30,
            'drain_timeout_s': 5, 'log_level': 'debug'}


# ---- the servers


def knows_all(sentinel):
    known = sentinel.about_primary(NAME)
    return known['flags'] == 'master' and known['num-slaves'] == '1' and known['num-other-sentinels'] == '2'


class Topology:
    def __init__(self, rig, min_replicas):
        more = ['--repl-diskless-sync-delay', '0', '--repl-ping-replica-period', '1']
        if min_replicas:
            more += ['--min-replicas-to-write', '1', '--min-replicas-max-lag', '3']
        self.servers = [RedisServer(rig, f'redis-{number}', more, free_port()) for number in (1, 2)]
        settings = {'down-after-milliseconds': DOWN_AFTER_MS, 'failover-timeout': FAILOVER_TIMEOUT_MS}
        self.sentinels = [Sentinel(rig, f'sentinel-{number}', NAME, self.servers[0].port, 2, settings)
                          for number in (1, 2, 3)]

    def start(self):
        for server in self.servers:
            server.start().ready()
        redis = self.servers[1].connect()
        redis('REPLICAOF', '127.0.0.1', self.servers[0].port)
        redis.close()
        until('the replica follows', lambda: role(self.servers[1]) == 'replica', PATIENCE_S)
        for sentinel in self.sentinels:
            sentinel.start().ready()
        for sentinel in self.sentinels:
            until(f'{sentinel.name} knows the others', lambda one=sentinel: knows_all(one), PATIENCE_S)

    def url(self):
        hosts = ','.join(f'127.0.0.1:{sentinel.port}' for sentinel in self.sentinels)
        return f'redis-sentinel://{hosts}/{NAME}'

    def primary(self):
        """As the sentinels have it; None: they do not say, or it is none of ours."""
        try:
            redis = self.sentinels[0].connect(2)
            address = redis('SENTINEL', 'GET-MASTER-ADDR-BY-NAME', NAME)
            redis.close()
        except (OSError, RedisError):
            return None
        return next((server for server in self.servers if address and int(address[1]) == server.port), None)

    def connect(self):
        """To the primary, which says itself that it is one; None: there is none just now."""
        server = self.primary()
        if server is None or role(server) != 'primary':
            return None
        try:
            return Redis(('127.0.0.1', server.port), 3)
        except OSError:
            return None


def role(server):
    """primary, replica (in step with its primary), something else."""
    try:
        redis = server.connect(1)
        answer = redis('ROLE')
        redis.close()
    except (OSError, RedisError):
        return 'gone'
    if answer[0] == b'master':
        return 'primary'
    return 'replica' if answer[3] == b'connected' else 'catching up'


# ---- the producer


class Producer(threading.Thread):
    """Pushes under an id until a replica has confirmed it. Replies are looked at, never popped."""

    def __init__(self, topology, served):
        super().__init__(daemon=True)
        self.topology, self.served = topology, served  # served: there are workers
        self.pending, self.confirmed, self.outstanding, self.seen = {}, [], {}, {}
        self.connection, self.stopping, self.failure = None, threading.Event(), None
        self.count = self.pushes = 0

    def run(self):
        try:
            while not self.stopping.is_set():
                while len(self.pending) + len(self.outstanding) < OUTSTANDING_MAX:
                    self.add_job()
                self.push()
                if self.served:
                    self.collect()
                else:
                    self.outstanding.clear()
                self.stopping.wait(0.05)
        except Exception:  # shown by the main thread
            self.failure = traceback.format_exc()

    def add_job(self):
        self.count += 1
        job = {'id': f'job-{self.count}', 'input': [self.count, self.count % 4 * 50],
               'code': 'await new Promise(done => setTimeout(done, input[1])); input[0] * 2'}
        self.pending[job['id']] = json.dumps(job)

    def push(self):
        """All that is not confirmed; WAIT speaks for everything before it on this connection."""
        if not self.pending:
            return
        answers = self.ask([('LPUSH', JOBS, payload) for payload in self.pending.values()] + [('WAIT', 1, 500)])
        self.pushes += len(answers[:-1]) if answers else 0
        if answers and answers[-1] >= 1:
            self.confirmed += self.pending
            self.outstanding.update((job_id, f'{PREFIX}reply:{job_id}') for job_id in self.pending)
            self.pending.clear()

    def collect(self):
        ids = list(self.outstanding)
        for job_id, reply in zip(ids, self.ask([('LINDEX', self.outstanding[job_id], 0) for job_id in ids]) or []):
            if reply is not None:
                self.seen[job_id] = reply
                del self.outstanding[job_id]

    def ask(self, commands):
        """The answers; None: there is no primary just now, or it does not take this."""
        try:
            if self.connection is None:
                self.connection = self.topology.connect()
            if self.connection is not None:
                return self.connection.many(commands)
        except (OSError, RedisError):  # READONLY, NOREPLICAS: ask the sentinels again
            self.connection.close()
            self.connection = None
        time.sleep(0.05)
        return None


# ---- workers


def ups(worker):
    return len(worker.events('redis_up'))


def check_each_serves(topology, workers, label):
    """None is deaf: each serves a job while the other one is stopped."""
    for number, worker in enumerate(workers):
        others = [other for other in workers if other is not worker]
        for other in others:
            other.process.send_signal(signal.SIGSTOP)
        try:
            serve_one(topology, worker, f'{label}.{number}')
        finally:
            for other in others:
                other.process.send_signal(signal.SIGCONT)


def ask_primary(topology, *words):
    """None: there is no primary just now, or it does not take this."""
    redis = topology.connect()
    if redis is None:
        return None
    try:
        return redis(*words)
    except (OSError, RedisError):
        return None
    finally:
        redis.close()


def serve_one(topology, worker, job_id):
    payload = json.dumps({'id': job_id, 'code': '1'})
    until('a push', lambda: ask_primary(topology, 'LPUSH', JOBS, payload), PATIENCE_S)
    try:
        raw = until(f'a job served by {worker.name} alone',
                    lambda: ask_primary(topology, 'LINDEX', f'{PREFIX}reply:{job_id}', 0), PATIENCE_S)
    except Failure as failure:
        raise Failure(f'{failure}; {worker.tail()}') from None
    if json.loads(raw)['worker'] != worker.redis_name():
        raise Failure(f'{job_id} was served by {json.loads(raw)["worker"]}, not by {worker.redis_name()} alone')


# ---- the run


def fail_over(topology, workers, what, take_down):
    """Takes the primary down and waits until the other one has its place, and the workers have found it."""
    old = until('a primary', topology.primary, PATIENCE_S)
    new = next(server for server in topology.servers if server is not old)
    before, started = [ups(worker) for worker in workers], time.monotonic()
    take_down(old)
    until('the sentinels name another primary',
          lambda: topology.primary() is new and role(new) == 'primary', PATIENCE_S)
    named_s = time.monotonic() - started
    return old, lambda: report_recovery(workers, what, before, started, named_s)


def report_recovery(workers, what, before, started, named_s):
    for worker, count in zip(workers, before):
        try:
            until(f'{worker.name} is up again', lambda one=worker, least=count: ups(one) > least, PATIENCE_S)
        except Failure as failure:
            raise Failure(f'{failure}; {worker.tail()}') from None
    print(f'{what}: another primary after {named_s:.1f} s' +
          (f', both workers up again after {time.monotonic() - started:.1f} s' if workers else ''), flush=True)


def more_pushes(producer, count):
    wanted = len(producer.confirmed) + count
    until(f'{count} more confirmed pushes', lambda: len(producer.confirmed) >= wanted or producer.failure, PATIENCE_S)


def run_dry(topology, producer):
    producer.stopping.set()
    producer.join(PATIENCE_S)
    if producer.failure:
        raise Failure('the producer: ' + producer.failure)
    return until('a primary', topology.connect, PATIENCE_S)


def check_results(redis, producer):
    ids = producer.confirmed
    keys = [f'{PREFIX}reply:{job_id}' for job_id in ids]
    until('every confirmed job has a result', lambda: all(redis.many([('LLEN', key) for key in keys])), PATIENCE_S)
    until('nothing waits and nothing is claimed',
          lambda: not redis('EXISTS', JOBS, PREFIX + 'delayed') and not redis.keys(PREFIX + 'claimed:*'), PATIENCE_S)
    wrong, again = [], 0
    for job_id, replies in zip(ids, redis.many([('LRANGE', key, 0, -1) for key in keys])):
        result = json.loads(replies[0])
        if len(replies) != 1 or result['result'] != str(2 * int(job_id.removeprefix('job-'))):
            wrong.append(f'{job_id}: {len(replies)} results, the first one {result["status"]}, {result["result"]}')
        again += producer.seen.get(job_id, replies[0]) != replies[0]
    return wrong, again


def check_pushes(redis, producer):
    waiting = {json.loads(raw)['id'] for raw in redis('LRANGE', JOBS, 0, -1)}
    return [f'{job_id}: confirmed, and not there' for job_id in producer.confirmed if job_id not in waiting]


def end_workers(workers):
    """What went wrong with them."""
    wrong = []
    for worker in workers:
        if not worker.alive():
            wrong.append(f'{worker.name} ended by itself; {worker.tail()}')
        elif (status := worker.stop()) != 0:
            wrong.append(f'{worker.name} ended with status {status}; {worker.tail()}')
        wrong += [f'{worker.name}.log has a line that is no event: {line}' for line in worker.read_log()[1][:3]]
    return wrong


def run(rig, arguments):
    topology = Topology(rig, arguments.min_replicas)
    topology.start()
    workers = [] if arguments.topology_only else [
        Worker(rig, f'worker-{number}', topology.url(), SETTINGS) for number in (1, 2)]
    for worker in workers:
        until(f'{worker.name} is up', lambda one=worker: ups(one) or not one.alive(), PATIENCE_S)
        if not worker.alive():
            raise Failure(f'{worker.name} did not start: {worker.tail()}')
    producer = Producer(topology, bool(workers))
    producer.start()
    more_pushes(producer, 100)

    killed, report = fail_over(topology, workers, 'kill -9 of the primary', lambda server: server.kill())
    if not arguments.min_replicas:  # else nothing can be written before the replica is back
        report()
        check_each_serves(topology, workers, 'after-kill')
    killed.start().ready()
    until('the killed server is a replica', lambda: role(killed) == 'replica', PATIENCE_S)
    if arguments.min_replicas:
        report()
        check_each_serves(topology, workers, 'after-kill')
    more_pushes(producer, 100)
    until('the sentinels know the replica', lambda: all(map(knows_all, topology.sentinels)), PATIENCE_S)

    stopped, report = fail_over(topology, workers, 'SIGSTOP of the new primary',
                                lambda server: server.signal(signal.SIGSTOP))
    stopped.signal(signal.SIGCONT)
    if not arguments.min_replicas:
        report()
    until('the stopped server is a replica', lambda: role(stopped) == 'replica', PATIENCE_S)
    if arguments.min_replicas:
        report()
    check_each_serves(topology, workers, 'after-stop')
    more_pushes(producer, 100)

    redis = run_dry(topology, producer)
    wrong, again = check_results(redis, producer) if workers else (check_pushes(redis, producer), 0)
    wrong += end_workers(workers)
    print(f'confirmed pushes {len(producer.confirmed)} (of {producer.count} jobs, {producer.pushes} pushes), '
          f'lost {len(wrong)}, results made again after Redis had lost them {again}', flush=True)
    return wrong


def main():
    parser = argparse.ArgumentParser(description='Sentinel fails over under load; no confirmed job is lost.')
    parser.add_argument('--min-replicas', action='store_true', help='min-replicas-to-write 1')
    parser.add_argument('--topology-only', action='store_true', help='servers and producer only, no workers')
    arguments = parser.parse_args()
    with Rig('isoq-failover-') as rig:
        try:
            wrong = run(rig, arguments)
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
