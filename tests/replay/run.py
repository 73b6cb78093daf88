#!/usr/bin/env python3
"""Records jobs of every kind with a real worker, a Redis and an AWS of its own; then stops all three, and replays each
job from its exported record, on a machine's other executor: every replay must say `identical`.

  run.py [--jobs N] [--seed N] [--keep FOLDER]     needs ISOQ_TEST_BIN_DIR; kinds.py has the kinds

Besides: no record holds a credential; the records include calls whose answers came in another order than they were made;
a record whose call was changed is found different, and says which call. The last line is "N jobs recorded, …".
"""
import argparse
import concurrent.futures
import importlib.util
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, '..', 'aws')]

import kinds
import fake_aws

_spec = importlib.util.spec_from_file_location('hostile_run', os.path.join(HERE, '..', 'hostile', 'run.py'))
hostile = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(hostile)
Failure, until, PREFIX = hostile.Failure, hostile.until, hostile.PREFIX

IN_FLIGHT = 4
RECORD_MAX_BYTES = 2 << 20
SECRETS = (fake_aws.OWN_ACCESS_KEY, fake_aws.OWN_KEY['secret'], 'Authorization', 'AWS4-HMAC')
DELAYS = [  # so that answers overtake each other
    {'match': {'probability': 0.3, 'seed': 1}, 'do': {'kind': 'delay', 'ms': 45}},
    {'match': {'probability': 0.4, 'seed': 2}, 'do': {'kind': 'delay', 'ms': 15}},
]


class Setting(hostile.Setting):
    def start(self):
        self.spawn('redis.log', ['redis-server', '--port', '0', '--unixsocket', self.socket, '--save', '', '--appendonly',
                                 'no', '--dir', self.dir])
        aws = subprocess.Popen([sys.executable, os.path.join(HERE, '..', 'aws', 'fake_aws.py')], stdout=subprocess.PIPE,
                               cwd=self.dir, preexec_fn=hostile.die_with_parent)
        self.processes.append(aws)
        self.aws_port = json.loads(aws.stdout.readline())['port']
        self.control('config', {'account_page': 20, 'resources': 60, 'log_events': 80})
        self.control('faults', DELAYS)
        self.redis = until('redis-server', self.connect)
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(('AWS_', 'ISOQ_'))},
            'AWS_ENDPOINT_URL': f'http://127.0.0.1:{self.aws_port}', 'AWS_ACCESS_KEY_ID': fake_aws.OWN_ACCESS_KEY,
            'AWS_SECRET_ACCESS_KEY': fake_aws.OWN_KEY['secret'], 'AWS_REGION': 'us-east-1', 'HOME': self.dir,
            'ISOQ_REDIS_URL': f'unix://{self.socket}'}
        with open(os.path.join(self.dir, 'worker.log'), 'wb') as log:
            self.worker = subprocess.Popen(
                [os.path.join(self.bin_dir, 'isoq'), 'worker', '--executors', '2', '--record-max-bytes', str(RECORD_MAX_BYTES),
                 '--max-result-bytes', '1000000'], env=self.environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                cwd=self.dir, preexec_fn=hostile.die_with_parent)
        self.processes.append(self.worker)

    def control(self, what, body):
        import urllib.request
        request = urllib.request.Request(f'http://127.0.0.1:{self.aws_port}/_control/{what}', json.dumps(body).encode())
        urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=20).read()

    def isoq(self, *arguments):
        return subprocess.run([os.path.join(self.bin_dir, 'isoq'), *arguments], env=self.environment, cwd=self.dir,
                              stdin=subprocess.DEVNULL, capture_output=True, timeout=120)

    def stop_everything(self):
        self.worker.send_signal(signal.SIGTERM)
        self.worker.wait(60)
        for process in self.processes:
            if process.poll() is None:
                process.kill()
                process.wait()
        os.path.exists(self.socket) and os.unlink(self.socket)
        # What is left of the outside world: addresses where nobody is, and no keys.
        for name in ('AWS_ACCESS_KEY_ID', 'AWS_SECRET_ACCESS_KEY'):
            del self.environment[name]


def record_jobs(setting, jobs):
    """{id: (kind, result)}; pushes a few at a time."""
    waiting, flying, results = list(reversed(jobs)), {}, {}
    while waiting or flying:
        while waiting and len(flying) < IN_FLIGHT:
            job_id, name, statuses, fields = waiting.pop()
            flying[f'{PREFIX}reply:{job_id}'] = (job_id, name, statuses)
            setting.redis('LPUSH', PREFIX + 'jobs', json.dumps({'id': job_id, **fields}))
        answer = setting.redis('BLPOP', *flying, 60)
        if answer is None:
            raise Failure(f'no result of any of {" ".join(flying)}')
        job_id, name, statuses = flying.pop(answer[0].decode())
        result = json.loads(answer[1])
        if result['status'] not in statuses:
            raise Failure(f'{job_id}: {result["status"]}, not {statuses}: {hostile.summary(result)}')
        results[job_id] = (name, result)
    return results


def export(setting, job_id):
    """The record, in a file; with nothing of it secret, and the very result that was published."""
    path = os.path.join(setting.dir, f'{job_id}.json')
    done = setting.isoq('result', job_id, '--record', path)
    if done.returncode != 0:
        raise Failure(f'{job_id}: no record: {done.stderr.decode()}')
    with open(path, 'rb') as file:
        text = file.read()
    for secret in SECRETS:
        if secret.encode() in text:
            raise Failure(f'{job_id}: its record holds {secret}')
    return path, json.loads(text)


def overtaken(record):
    """Whether an answer was settled before that of an earlier call."""
    answers = [int(word[1:]) for word in record['trace'].split() if word[0] == 'a']
    return answers != sorted(answers)


def replay(setting, path):
    started = time.monotonic()
    done = setting.isoq('replay', path, '--json')
    try:
        verdict = json.loads(done.stdout)
    except ValueError:
        verdict = {'identical': False, 'difference': f'exit {done.returncode}: {done.stderr.decode()}', 'result': {}}
    return done.returncode, verdict, time.monotonic() - started


def check_changed_call(setting, records):
    """A record whose second call was of something else: the replay names that call."""
    for path, record in records:
        calls = record['calls']
        if record['status'] == 'ok' and len(calls) > 1 and calls[1]['name'] == 'queryResources' and calls[1].get('ok'):
            break
    else:
        raise Failure('no record with two calls')
    calls[1]['args'] = ['AWS::SNS::Topic', 'self', 'us-east-1']
    changed = path.replace('.json', '-changed.json')
    with open(changed, 'w', encoding='utf-8') as file:
        json.dump(record, file, ensure_ascii=False, separators=(',', ':'))
    code, verdict, _ = replay(setting, changed)
    wanted = "call 2: recorded queryResources('AWS::SNS::Topic', 'self', 'us-east-1'), now queryResources("
    if code != 1 or verdict['identical'] or not verdict['difference'].startswith(wanted):
        raise Failure(f'a changed call: exit {code}, {verdict["difference"]}')
    print(f'a changed call: {verdict["difference"]}')


CANCELLED = ('console.log(Date.now()); for (;;);', 'let i = 0; for (;;) console.log(i++)',
             'console.log("waits"); await new Promise(r => setTimeout(r, 1e6))',
             'for (;;) { await new Promise(r => setTimeout(r, 5)); console.log(Date.now()) }')


def record_cancelled(setting, results):
    """Jobs that somebody stops while they run."""
    for index, code in enumerate(CANCELLED):
        job_id = f'cancelled.{index}'
        setting.redis('LPUSH', PREFIX + 'jobs', json.dumps({'id': job_id, 'code': code, 'max_output_bytes': 5000}))
        until('its claim', lambda: not setting.redis('LLEN', PREFIX + 'jobs'))

        def cancelled():
            setting.redis('PUBLISH', PREFIX + 'cancel', job_id)
            return setting.redis('LPOP', f'{PREFIX}reply:{job_id}')
        result = json.loads(until('its result', cancelled))
        if result['status'] != 'cancelled':
            raise Failure(f'{job_id} is {result["status"]}')
        results[job_id] = ('cancelled', result)


def push(setting, queue, job_id, code, **fields):
    """The result of one job."""
    setting.redis('LPUSH', f'isoq:{{{queue}}}:jobs', json.dumps({'id': job_id, 'code': code, **fields}))
    answer = setting.redis('BLPOP', f'isoq:{{{queue}}}:reply:{job_id}', 60)
    if answer is None:
        raise Failure(f'no result of {job_id}')
    return json.loads(answer[1])


def expect(what, done, code, *texts):
    said = (done.stdout + done.stderr).decode()
    if done.returncode != code or not all(text in said for text in texts):
        raise Failure(f'{what}: exit {done.returncode}, not {code}; it says {said!r}, not {texts}')


def check_reasons(setting):
    """Why there is no record; and which attempt one is of."""
    expect('an id nobody knows', setting.isoq('replay', 'nobody'), 3, 'no record of job nobody', 'not known')
    push(setting, 'default', 'off', '1', record=False)
    expect('recording off', setting.isoq('replay', 'off'), 3, 'was not recorded: recording was off')
    push(setting, 'default', 'bad', '1', timeout_ms='x')
    expect('an invalid job', setting.isoq('replay', 'bad'), 3, 'ended as invalid and has no record')
    push(setting, 'default', 'twice', 'throw new Error(Date.now())', max_attempts=2, backoff_ms=1)
    _, record = export(setting, 'twice')
    if record['attempt'] != 2:
        raise Failure(f'a record of attempt {record["attempt"]}, not 2')
    path, large = os.path.join(setting.dir, 'large.json'), 'x' * RECORD_MAX_BYTES
    push(setting, 'default', 'large', 'input.length', input=large)
    expect('a job too large for its record', setting.isoq('replay', 'large'), 3, 'holds no job', 'record_max_bytes')
    for text, why in (('{', 'no JSON'), ('{"record":7}', 'newer than this isoq')):
        with open(path, 'w', encoding='ascii') as file:
            file.write(text)
        expect(f'a file with {text}', setting.isoq('replay', path), 2, why)
    expect('no such file', setting.isoq('replay', 'none.json'), 2, 'No such file')


def check_failures_only(setting):
    worker = setting.spawn('failures.log', [
        os.path.join(setting.bin_dir, 'isoq'), 'worker', '--redis', f'unix://{setting.socket}', '--queue', 'failures',
        '--executors', '1', '--record-on', 'failure', '--record-ttl-s', '50'])
    push(setting, 'failures', 'good', '1')
    push(setting, 'failures', 'bad', 'throw 1')
    kept = sorted(key.decode() for key in setting.redis('KEYS', 'isoq:{failures}:record:*'))
    ttl = setting.redis('PTTL', 'isoq:{failures}:record:bad')
    if kept != ['isoq:{failures}:record:bad'] or not 40000 < ttl <= 50000:
        raise Failure(f'record_on failure keeps {kept}, for {ttl} ms')
    worker.terminate()
    worker.wait(60)


def check_other_code(setting, path):
    """Another script under a record with one call, listRegions()."""
    code = os.path.join(setting.dir, 'other.js')
    with open(code, 'w', encoding='ascii') as file:
        file.write('const at = Date.now(), r = await listRegions(); const e = await queryResources("AWS::New").catch(e => e.name);\n'
                   'console.log(at, r.length, e); input')
    expect('--code', setting.isoq('replay', path, '--code', code), 0, ' 12 ReplayError', '42',
           'call 1: listRegions(): answered from the record (its call 1)', "call 2: queryResources('AWS::New'): new, refused")
    verdict = json.loads(setting.isoq('replay', path, '--code', code, '--json').stdout)
    if verdict['identical'] is not None or [call['recorded'] for call in verdict['calls']] != [1, None]:
        raise Failure(f'--code --json: {verdict}')
    with open(code, 'w', encoding='ascii') as file:
        file.write('throw new Error("still wrong")')
    expect('--code that throws', setting.isoq('replay', path, '--code', code), 1, 'still wrong')
    expect('--live alone', setting.isoq('replay', path, '--live'), 2, '--live goes with --code')


def run(setting, arguments):
    draw = random.Random(arguments.seed)
    jobs, calls_made = [], 0
    for index in range(arguments.jobs):
        name, statuses, calls, fields = kinds.choose(draw, arguments.jobs, index)
        jobs.append((f'{index}.{name}', name, statuses, fields))
        calls_made += calls
    results = record_jobs(setting, jobs)
    record_cancelled(setting, results)
    records = {job_id: export(setting, job_id) for job_id in results}
    digests = sum('digest' in record for _, record in records.values())
    turned = sum(overtaken(record) for _, record in records.values())
    check_reasons(setting)
    check_failures_only(setting)
    push(setting, 'default', 'other', 'console.log(Date.now()); (await listRegions()).length', input=42)
    other, _ = export(setting, 'other')
    setting.stop_everything()

    check_other_code(setting, other)
    failures, slowest = [], (0, '')
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        for job_id, (code, verdict, took) in zip(results, pool.map(lambda j: replay(setting, records[j][0]), results)):
            slowest = max(slowest, (took, job_id))
            if code != 0 or verdict['identical'] is not True:
                failures.append(job_id)
                print(f'FAILED: {job_id}: {verdict["difference"]}\n  {json.dumps(records[job_id][1]["job"])[:500]}', flush=True)
                if arguments.keep:
                    shutil.copy(records[job_id][0], arguments.keep)
    check_changed_call(setting, records.values())
    if digests == 0 or any(record['status'] == 'ok' and record.get('left_out', ['result']) != ['result']
                           for _, record in records.values()):
        raise Failure('no result was too large for its record, or something else was left out of one')
    if turned == 0:
        raise Failure('in no record did an answer overtake another')
    statuses = {}
    for _, result in results.values():
        statuses[result['status']] = statuses.get(result['status'], 0) + 1
    print('statuses:', ', '.join(f'{name} {count}' for name, count in sorted(statuses.items())))
    print(f'kinds: {len({name for name, _ in results.values()})}; with calls: {calls_made}; answers out of order in {turned}; '
          f'compared by digest: {digests}; '
          f'slowest replay {slowest[0]:.1f} s ({slowest[1]})')
    print(f'{len(results)} jobs recorded, {len(results) - len(failures)} replays identical, {len(failures)} different')
    return 1 if failures else 0


def main():
    parser = argparse.ArgumentParser(description='Records jobs, and replays them.')
    parser.add_argument('--jobs', type=int, default=60)
    parser.add_argument('--seed', type=int, default=random.SystemRandom().randrange(10**9))
    parser.add_argument('--keep', help='a folder for the records of failed replays')
    arguments = parser.parse_args()
    bin_dir = os.environ.get('ISOQ_TEST_BIN_DIR')
    if not bin_dir:
        parser.error('ISOQ_TEST_BIN_DIR must name the folder of isoq')
    if not shutil.which('redis-server'):
        print('redis-server is not installed', file=sys.stderr)
        return 77
    print(f'seed {arguments.seed}', flush=True)
    setting = Setting(bin_dir, 'fresh')
    try:
        setting.start()
        return run(setting, arguments)
    except Failure as failure:
        print(f'FAILED: {failure}\n{setting.worker_log()}')
        return 1
    finally:
        setting.end()


if __name__ == '__main__':
    sys.exit(main())
