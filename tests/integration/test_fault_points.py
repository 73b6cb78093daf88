#!/usr/bin/env python3
"""kill -9 of a worker at every round trip to Redis of a job's life: whatever the moment, the job ends once.

The points are the rows of queue/round_trips.def, as isoq-dying (dying.c) lists them: isoq itself, which dies by SIGKILL
before it sends a chosen command, or when the answer has come and before anybody has looked at it. For each point a
worker is driven there by a scenario of SCENARIOS, dies, and a worker that does not die takes over. Then there must be
one result, one done key, one job in the counters, and nothing else in Redis.

POINTS says which scenarios drive which point. A point without one fails this test, and so does one that its
scenario does not pass, so a new command cannot be forgotten.

  tests/integration/test_fault_points.py build/release/tests/bin/isoq-dying [POINT…]
"""
import argparse
import concurrent.futures
import json
import os
import signal
import subprocess
import sys
import traceback

sys.dont_write_bytecode = True  # no files beside the sources
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'support'))
# pylint: disable=wrong-import-position
from rig import (JOBS, PREFIX, Failure, RedisServer, Rig, Sentinel, Worker, bin_dir, free_port, program_environment,
                 until)

PATIENCE_S = 40
AT_ONCE = 4
JOB_ID = 'the-job'


def keys_of(name):
    return tuple(f'{PREFIX}{kind}:{name}' for kind in ('reply', 'done', 'record'))


REPLY, DONE, RECORD = keys_of(JOB_ID)
CROWD = 400  # jobs, and which of the round trips is fatal: several jobs go in one by then
CROWD_PASS = {'claim': 30, 'settle': 60}
SETTINGS = {'executors': 1, 'lease_ms': 1000, 'lease_renew_ms': 150, 'reap_interval_ms': 150, 'log_level': 'debug'}
LONG_LEASE_MS = 3000  # makes BLMOVE wait for half a second: long enough to meet it there, as a rule
TRIES = 12  # of a scenario that may miss its point, since a BLMOVE may end just then
DEATHS_MAX = 2  # of a job here, the ghost's included; they count as attempts in its result
GHOST = 'ghost-1'  # a worker that died long ago

# A row that no code sends yet. Its scenarios run all the same, and this test fails as soon as they pass it: take it out
# of here then.
PENDING = set()

# Each scenario with the passes of the point to die at.
POINTS = {
    'AUTH': ['waiting', 'reconnecting'],
    'SELECT': ['waiting', 'reconnecting'],
    'CLIENT SETNAME': ['waiting', 'reconnecting'],
    'CLIENT ID': ['waiting', 'reconnecting'],
    'PING': ['waiting', 'reconnecting', 'running'],
    'SCRIPT LOAD': ['waiting', 'reconnecting', 'forgotten'],
    'lease': ['waiting', 'reconnecting', 'running'],
    'claim': ['waiting', 'crowded'],
    'BLMOVE': ['arriving'],
    'CLIENT UNBLOCK': ['idle_drain'],
    'settle': ['waiting', 'invalid', 'given_up', 'forgotten', 'reconnecting', 'crowded'],
    'give back': ['busy_drain', 'never_arrived'],
    'leave': ['idle_drain', 'busy_drain'],
    'reap': ['running', 'orphan', 'given_up'],
    'SCAN': ['ownerless'],
    'LRANGE': ['never_arrived'],
    'defer': ['retried', 'delayed'],
    'promote': ['retried', 'delayed'],
    'SUBSCRIBE': ['waiting', 'reconnecting'],
    'SENTINEL': ['sentinel', 'sentinel_reconnecting'],
    'ROLE': ['sentinel', 'sentinel_reconnecting'],
}


def job(code='6 * 7', name=JOB_ID, **more):
    return json.dumps({'id': name, 'code': code, **more})


LONG_JOB = job('await new Promise(done => setTimeout(done, 1500)); 42')


class Case:
    """One point, one scenario: a Redis and two workers. Scenarios are the methods below `scenarios`."""

    def __init__(self, rig, dying, number, point, side, scenario):
        self.rig, self.dying, self.point, self.side, self.scenario = rig, dying, point, side, scenario
        self.label = f'{number}'
        self.again = lambda count: Case(rig, dying, f'{number}.{count}', point, side, scenario)
        self.title = f'{point}, {side}, {scenario}'
        self.settings, self.status, self.letters, self.attempt = dict(SETTINGS), 'ok', 0, 1
        self.ids, self.nth = [JOB_ID], 1
        self.armed_file = rig.path(self.label + '.armed')
        self.server = self.sentinel_server = self.redis = self.worker = None

    def run(self):
        """Whether the point was passed."""
        port = free_port() if self.scenario.startswith('sentinel') else 0
        self.server = RedisServer(self.rig, self.label + '-redis', port=port, password='secret').start().ready()
        self.redis = self.server.connect()
        self.redis('SELECT', 3)
        try:
            getattr(self, self.scenario)()
            until('the worker dies, or the job ends', lambda: self.dead() or self.redis('EXISTS', DONE), PATIENCE_S)
            status = self.worker.stop(PATIENCE_S)
            if status == 0:
                return False
            if status != -signal.SIGKILL:
                raise Failure(f'the worker ended with status {status}; {self.worker.tail()}')
            self.take_over()
            return True
        finally:
            self.redis.close()
            if self.worker and self.worker.alive():
                self.worker.kill()
            self.server.kill()
            if self.sentinel_server:
                self.sentinel_server.kill()

    # ---- what scenarios are made of

    def url(self):
        if self.sentinel_server:
            return f'redis-sentinel://:secret@127.0.0.1:{self.sentinel_server.port}/primary/3'
        return f'unix://{self.server.socket}?db=3&password=secret'

    def start(self, armed=True):
        """The worker that is to die."""
        if armed:
            self.arm()
        self.worker = Worker(self.rig, self.label + '-dying', self.url(),
                             {**self.settings, 'executor_path': os.path.join(bin_dir(), 'isoq-executor')}, self.dying,
                             {'ISOQ_TEST_DIE_AT': f'{self.point}:{self.side}:{self.nth}',
                              'ISOQ_TEST_DIE_ONCE': self.armed_file})

    def arm(self):
        with open(self.armed_file, 'w', encoding='ascii'):
            pass

    def dead(self):
        return not self.worker.alive()

    def push(self, payload):
        self.redis('LPUSH', JOBS, payload)

    def until_running(self):
        until('the job is claimed', lambda: self.redis.keys(PREFIX + 'claimed:*'), PATIENCE_S)

    def until_blocked(self):
        until('the worker waits in BLMOVE',
              lambda: self.dead() or b'cmd=blmove' in self.redis('CLIENT', 'LIST'), PATIENCE_S)

    # ---- scenarios

    def waiting(self):
        self.push(job())
        self.start()

    def invalid(self):
        self.status, self.letters = 'invalid', 1
        self.push(job(cod=1))
        self.start()

    def crowded(self):
        """Small jobs, so many that several are claimed, and settled, at a time."""
        self.settings['executors'] = 2
        self.nth = CROWD_PASS[self.point]
        self.ids = [f'crowd-{i}' for i in range(CROWD)] + [JOB_ID]
        self.redis.many([['LPUSH', JOBS, job(name=name)] for name in self.ids])
        self.start()

    def arriving(self):
        self.settings['lease_ms'] = LONG_LEASE_MS
        self.start(armed=self.side == 'before')
        self.until_blocked()
        self.arm()
        self.push(job())

    def running(self):
        self.push(LONG_JOB)
        self.start(armed=False)
        self.until_running()
        self.arm()

    def reconnecting(self):
        self.running()
        for kind in ('pubsub', 'normal'):
            self.redis('CLIENT', 'KILL', 'TYPE', kind)

    def forgotten(self):
        self.running()
        self.redis('SCRIPT', 'FLUSH')

    def idle_drain(self):
        self.settings['lease_ms'] = LONG_LEASE_MS
        self.start(armed=False)
        self.until_blocked()
        self.arm()
        self.worker.process.send_signal(signal.SIGTERM)
        self.push(job())
        self.worker.wait(PATIENCE_S)

    def busy_drain(self):
        self.settings['drain_timeout_s'] = 0
        self.running()
        self.worker.process.send_signal(signal.SIGTERM)
        self.worker.wait(PATIENCE_S)

    def orphan(self):
        """Of a worker whose lease is past."""
        self.redis('ZADD', PREFIX + 'workers', 1, GHOST)
        self.ownerless()

    def ownerless(self):
        """Of a worker without any lease."""
        self.redis('LPUSH', f'{PREFIX}claimed:{GHOST}', job())
        self.start()

    def given_up(self):
        self.settings['max_worker_deaths'] = 1
        self.status, self.letters = 'worker_lost', 1
        self.orphan()

    def never_arrived(self):
        """Redis gave it to the worker, and the answer was lost."""
        self.start()
        until('the worker has a lease', lambda: self.redis('ZCARD', PREFIX + 'workers'), PATIENCE_S)
        self.redis('LPUSH', f'{PREFIX}claimed:{self.worker.redis_name()}', job())

    def start_sentinel(self):
        self.sentinel_server = Sentinel(self.rig, self.label + '-sentinel', 'primary', self.server.port, 1,
                                 {'auth-pass': 'secret'}).start().ready()
        until('the Sentinel has seen the primary',
              lambda: self.sentinel_server.about_primary('primary')['flags'] == 'master', PATIENCE_S)

    def sentinel(self):
        """The primary's address comes from a Sentinel."""
        self.start_sentinel()
        self.waiting()

    def sentinel_reconnecting(self):
        self.start_sentinel()
        self.reconnecting()

    def retried(self):
        self.status, self.attempt, self.letters = 'error', 2, 1
        self.push(job('throw 1', max_attempts=2, backoff_ms=100))
        self.start()

    def delayed(self):
        self.push(job(delay_ms=300))
        self.start()

    # ---- afterwards

    def take_over(self):
        heir = Worker(self.rig, self.label + '-heir', self.url(), self.settings)
        try:
            until('a result', lambda: self.redis('LLEN', REPLY), PATIENCE_S)
            until('the second worker alone has a lease, and nothing is claimed', lambda: self.leases() == [
                heir.redis_name()] and not self.redis.keys(PREFIX + 'claimed:*'), PATIENCE_S)
            until('nothing waits', lambda: not self.redis('EXISTS', JOBS, PREFIX + 'delayed'), PATIENCE_S)
            if (status := heir.stop()) != 0:
                raise Failure(f'the second worker ended with status {status}')
            self.check_end()
        except Failure as failure:
            raise Failure(f'{failure}\n{self.worker.tail()}{heir.tail()}') from None

    def leases(self):
        return [name.decode() for name in self.redis('ZRANGE', PREFIX + 'workers', 0, -1)]

    def check_end(self):
        stats = self.redis.stats()
        letters = self.redis('LLEN', PREFIX + 'dead')
        for name in self.ids:
            self.check_job(name)
        if stats.get('processed') != len(self.ids) or letters != self.letters:
            raise Failure(f'{len(self.ids)} jobs, {self.letters} dead letters; but there are {letters}, and stats say '
                          f'{stats}')
        left = set(self.redis.keys()) - {PREFIX + 'stats', PREFIX + 'dead'}
        left = left.difference(*(keys_of(name) for name in self.ids))
        if left:
            raise Failure(f'left in Redis: {sorted(left)}')

    def check_job(self, name):
        reply, done, record = keys_of(name)
        replies = [json.loads(one) for one in self.redis('LRANGE', reply, 0, -1)]
        got = [(one['status'], one['attempt']) for one in replies]
        if len(got) != 1 or got[0][0] != self.status or not self.attempt <= got[0][1] <= self.attempt + DEATHS_MAX:
            raise Failure(f'{name}: results {got}, not one with status {self.status} of attempt {self.attempt}')
        if self.redis('EXISTS', done) != 1:
            raise Failure(f'{name}: it has a result, and {done} is not there')
        if self.redis('EXISTS', record) != (self.status in ('ok', 'error')):  # what ran leaves a record
            raise Failure(f'a job with status {self.status}, and EXISTS {record} is {self.redis("EXISTS", record)}')


def complaints_about(case):
    """Texts; none: as it should be."""
    try:
        passed = case.run()
        for count in range(1, TRIES):
            if passed or case.scenario not in ('idle_drain', 'arriving'):
                break
            passed = case.again(count).run()
    except Failure as failure:
        return [str(failure)]
    except Exception:
        return [traceback.format_exc()]
    if case.point in PENDING:
        return ['it is passed now: take it out of PENDING'] if passed else []
    return [] if passed else [f'never passed; drive it by another scenario\n{case.worker.tail()}']


def points_of(dying):
    environment = {**program_environment(), 'ISOQ_TEST_DIE_AT': 'list'}
    return subprocess.run([dying], env=environment, stdout=subprocess.PIPE, check=True, text=True).stdout.splitlines()


def check_table(points):
    wrong = [f'{point}: no scenario drives it; give it one in POINTS' for point in points if not POINTS.get(point)]
    for point in sorted(set(POINTS) | PENDING):
        if point not in points:
            print(f'note: {point} is in the tables here, but is no point of this version', flush=True)
    return wrong


def main():
    parser = argparse.ArgumentParser(description='A worker dies at every round trip to Redis; the job ends once.')
    parser.add_argument('dying', help='the program isoq-dying')
    parser.add_argument('points', nargs='*', help='names of points (default: all)')
    parser.add_argument('--verbose', action='store_true')
    arguments = parser.parse_args()
    dying = os.path.abspath(arguments.dying)
    points = points_of(dying)
    wrong = check_table(points)
    wanted = [(point, side, scenario) for point in arguments.points or points for scenario in POINTS.get(point, [])
              for side in ('before', 'after')]
    pending = sum(point in PENDING for point, _, _ in wanted)
    with Rig('isoq-points-') as rig, concurrent.futures.ThreadPoolExecutor(AT_ONCE) as threads:
        cases = [Case(rig, dying, number, *what) for number, what in enumerate(wanted)]
        try:
            for case, complaints in zip(cases, threads.map(complaints_about, cases)):
                wrong += [f'{case.title}: {complaint}' for complaint in complaints]
                if arguments.verbose or complaints:
                    print(f'{"FAILED" if complaints else "pending" if case.point in PENDING else "ok"}: {case.title}'
                          + ''.join('\n  ' + text for text in complaints), flush=True)
        except BaseException:
            threads.shutdown(wait=False, cancel_futures=True)
            rig.end()
            raise
    for one in wrong:
        print(f'FAILED: {one.splitlines()[0]}')
    print(f'{len(points)} points, {len(cases)} deaths: {len(cases) - pending} to pass, {pending} pending '
          f'({", ".join(sorted(PENDING)) or "none"}); {len(wrong)} failed', flush=True)
    return 1 if wrong else 0


if __name__ == '__main__':
    sys.exit(main())
