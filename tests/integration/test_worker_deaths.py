#!/usr/bin/env python3
"""Jobs and the deaths of workers, as a user sees them:

- a job that costs every worker its life is given up after max_worker_deaths: one `worker_lost` result, one dead letter;
- a job that keeps a processor busy for three leases is no dead worker's: it runs once.

The murderer of the first is this test: it waits until the job really runs (an executor of the worker that holds it
burns processor time), and kills that worker. Needs ISOQ_TEST_BIN_DIR.
"""
import json
import os
import sys

sys.dont_write_bytecode = True  # no files beside the sources
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'support'))
# pylint: disable=wrong-import-position
from rig import JOBS, PREFIX, Failure, RedisServer, Rig, Worker, children, stat_fields, until

DEATHS = 3
LEASE_MS = 1000
PATIENCE_S = 60
BUSY_TICKS = 15  # of processor time: clearly more than nothing
SETTINGS = {'executors': 1, 'spare_executors': 0, 'lease_ms': LEASE_MS, 'lease_renew_ms': 150, 'reap_interval_ms': 150,
            'max_worker_deaths': DEATHS, 'log_level': 'debug'}


def expect(what, got, wanted):
    if got != wanted:
        raise Failure(f'{what}: {got!r}, not {wanted!r}')


def ticks_of_executors(worker):
    """Of processor time."""
    every = [stat_fields(pid) for pid in children(worker.pid)]
    return sum(int(fields[11]) + int(fields[12]) for fields in every if fields)


class Test:
    def __init__(self, rig, name):
        self.rig, self.name, self.count, self.workers = rig, name, 0, []
        self.server = RedisServer(rig, name).start().ready()
        self.redis = self.server.connect()

    def start_worker(self):
        self.count += 1
        worker = Worker(self.rig, f'{self.name}-worker-{self.count}', f'unix://{self.server.socket}', SETTINGS)
        self.workers.append(worker)
        until(f'{worker.name} is up', lambda: worker.events('ready') and worker.events('redis_up'), PATIENCE_S)
        return worker

    def claimed_lists(self):
        return self.redis.keys(PREFIX + 'claimed:*')

    def worker_that_runs_a_job(self):
        """None: none does, or there is a result."""
        for worker in self.workers:
            if worker.alive() and f'{PREFIX}claimed:{worker.redis_name()}' in self.claimed_lists():
                before = ticks_of_executors(worker)
                until('the job runs, or has ended',
                      lambda one=worker, least=before + BUSY_TICKS: ticks_of_executors(one) >= least or
                      f'{PREFIX}claimed:{one.redis_name()}' not in self.claimed_lists(), PATIENCE_S)
                return worker if f'{PREFIX}claimed:{worker.redis_name()}' in self.claimed_lists() else None
        return None

    def expect_nothing_left(self):
        until('nothing is claimed, nothing waits',
              lambda: not self.claimed_lists() and not self.redis('EXISTS', JOBS, PREFIX + 'delayed'), PATIENCE_S)

    def results(self, job_id):
        return [json.loads(one) for one in self.redis('LRANGE', f'{PREFIX}reply:{job_id}', 0, -1)]

    def end(self):
        for worker in self.workers:
            if worker.alive():
                expect(f'exit status of {worker.name}', worker.stop(), 0)
        self.redis.close()
        self.server.kill()


def test_a_job_that_kills_every_worker_is_given_up(test):
    job = {'id': 'killer', 'code': 'for (;;);', 'timeout_ms': 600000, 'metadata': {'who': 'me', 'n': 1}}
    reply, killed = PREFIX + 'reply:killer', 0
    test.redis('LPUSH', JOBS, json.dumps(job))
    test.start_worker()
    while True:
        test.start_worker()  # one that reaps the other
        murdered = until('a worker runs the job, or it has a result',
                         lambda: test.worker_that_runs_a_job() or test.redis('EXISTS', reply), PATIENCE_S)
        if murdered == 1:
            break
        murdered.kill()
        killed += 1
        if killed > DEATHS:
            raise Failure(f'{killed} workers died, and the job is not given up')
    test.expect_nothing_left()
    results = test.results('killer')
    expect('workers that died', killed, DEATHS)
    expect('results', [(one['status'], one['success'], one['result'], one['metadata']) for one in results],
           [('worker_lost', False, None, job['metadata'])])
    expect('name of the error', results[0]['error']['name'], 'WorkerLost')
    letters = [json.loads(one) for one in test.redis('LRANGE', PREFIX + 'dead', 0, -1)]
    expect('dead letters', [(one['job'], one['result']) for one in letters], [(job, results[0])])
    if 'died' not in letters[0]['reason']:
        raise Failure(f'the reason of the dead letter: {letters[0]["reason"]}')
    expect('results of a job after it', serve(test, 'innocent'), [('ok', '42')])


def serve(test, job_id):
    test.redis('LPUSH', JOBS, json.dumps({'id': job_id, 'code': '6 * 7'}))
    until(f'a result of {job_id}', lambda: test.results(job_id), PATIENCE_S)
    return [(one['status'], one['result']) for one in test.results(job_id)]


def test_a_busy_job_of_three_leases_runs_once(test):
    test.start_worker()
    test.start_worker()
    busy_ms = 3 * LEASE_MS
    code = f'const end = Date.now() + {busy_ms}; while (Date.now() < end); "busy for {busy_ms} ms"'
    test.redis('LPUSH', JOBS, json.dumps({'id': 'busy', 'code': code, 'timeout_ms': 60000}))
    until('a result', lambda: test.results('busy'), PATIENCE_S)
    test.expect_nothing_left()
    expect('results', [(one['status'], one['result'], one['attempt']) for one in test.results('busy')],
           [('ok', f'busy for {busy_ms} ms', 1)])
    for name, count in (('job', 1), ('reaped', 0), ('result_fenced', 0), ('claim_recovered', 0), ('lease_lost', 0)):
        expect(f'events {name} of both workers', sum(len(worker.events(name)) for worker in test.workers), count)


def main():
    failed = 0
    tests = [value for name, value in sorted(globals().items()) if name.startswith('test_')]
    for number, function in enumerate(tests):
        with Rig('isoq-deaths-') as rig:
            try:
                test = Test(rig, f'redis-{number}')
                function(test)
                test.end()
                print(f'ok: {function.__name__}', flush=True)
            except Failure as failure:
                failed += 1
                print(f'FAILED: {function.__name__}: {failure}\n' + ''.join(one.tail() for one in test.workers),
                      flush=True)
    print(f'{len(tests) - failed} passed, {failed} failed', flush=True)
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main())
