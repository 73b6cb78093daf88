"""What the cases stand on: `isoq run` and a worker with a Redis, both with the fake AWS as their AWS and nothing of the
developer's own environment. tests/support/rig.py has the processes and Redis."""
import json
import os
import shutil
import subprocess
import sys
import tempfile

import data
from fake_aws import OWN_ACCESS_KEY, OWN_KEY

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'support'))

import rig as rigs
from rig import JOBS, PREFIX

RUN_PATIENCE_S = 60
CASES = []
# How a rejection leaves the script: the caller's script has `outcome(promise)`.
PRELUDE = '''
const outcome = (promise) => promise.then(
  (value) => ({resolved: value}),
  (e) => ({name: e.name, message: e.message, statusCode: e.statusCode, requestId: e.requestId, retryable: e.retryable,
           isError: e instanceof Error, isTypeError: e instanceof TypeError}));
const attempt = (call) => outcome((async () => call())());
'''


class Skip(Exception):
    """Why a case cannot be run here."""


def case(function=None, refused=False):
    """Registers a case. Unless `refused`, no signature and no request may have been refused by the fake AWS."""
    def register(one):
        one.refused = refused
        CASES.append(one)
        return one
    return register(function) if function else register


def same(what, found, wanted):
    if found != wanted:
        raise AssertionError(f'{what}: {found!r:.1500}, not {wanted!r:.1500}')


def true(what, value):
    if not value:
        raise AssertionError(str(what)[:1500])


def holds(what, text, *parts):
    for part in parts:
        true(f'{what}: {part!r} is not in {text!r}', part.lower() in (text or '').lower())


class Running:
    """isoq run, under way."""

    def __init__(self, process, code):
        self.process, self.code, self.peak_kb = process, code, 0

    def finish(self, patience_s=RUN_PATIENCE_S):
        """The ExecutionResult, with `exit` and `text` (standard error) besides."""
        try:
            out, err = self.process.communicate(timeout=patience_s)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.communicate()
            raise AssertionError(f'isoq run did not end within {patience_s} s: {self.code[:300]}') from None
        try:
            result = json.loads(out)
        except ValueError:
            raise AssertionError(f'isoq run: exit {self.process.returncode}, no result; {err[-800:]!r} {out[-300:]!r}') \
                from None
        return {**result, 'exit': self.process.returncode, 'text': err}


class Setting:
    """One for all cases; each case finds a fake AWS as at its start, an empty home, and its own environment."""

    def __init__(self, rig, fake, link_local=False):
        self.link_local = link_local  # the fake AWS is where the metadata services are
        self.rig, self.fake, self.isoq = rig, fake, os.path.join(rigs.bin_dir(), 'isoq')
        self.redis, self.worker, self.number, self.home, self.started = None, None, 0, None, []

    # ---- before and after a case

    def begin(self):
        self.fake.reset()
        self.home = tempfile.mkdtemp(dir=self.rig.dir)

    def end(self):
        if self.worker is not None:
            self.worker.kill()
            self.worker = None
        for process in self.started:
            if process.poll() is None:
                process.kill()
            process.communicate()
        self.started = []
        self.fake.release()
        shutil.rmtree(self.home, ignore_errors=True)

    def close(self):
        """All of it: when the last case is over."""
        self.fake.end()

    def nothing_refused(self):
        found = self.fake.counters()
        same('refused signatures', found['signature_failure_list'], [])
        same('requests that AWS does not know', found['protocol_error_list'], [])

    # ---- environment

    def bare_environment(self, **more):
        """The fake AWS as endpoint, and no credentials. A value of None removes the variable."""
        environment = {'PATH': os.environ.get('PATH', '/usr/bin:/bin'), 'HOME': self.home, 'LANG': 'C.UTF-8',
                       'AWS_ENDPOINT_URL': self.fake.url, 'AWS_REGION': 'us-east-1', 'AWS_EC2_METADATA_DISABLED': 'true'}
        environment.update({name: value for name, value in os.environ.items() if name.endswith('SAN_OPTIONS')})
        environment.update(more)
        return {name: value for name, value in environment.items() if value is not None}

    def environment(self, **more):
        """With credentials in it."""
        return self.bare_environment(**{'AWS_ACCESS_KEY_ID': OWN_ACCESS_KEY, 'AWS_SECRET_ACCESS_KEY': OWN_KEY['secret'],
                                        **more})

    def file(self, name, content, mode=0o600):
        path = os.path.join(self.home, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, 'w', encoding='utf-8') as file:
            file.write(content)
        os.chmod(path, mode)
        return path

    # ---- isoq run

    def start(self, code, environment=None, timeout_ms=30000, **settings):
        settings = {'aws_assume_role': 'isoq-reader', **settings}
        environment = {**(self.environment() if environment is None else environment),
                       **{'ISOQ_' + name.upper(): str(value) for name, value in settings.items()}}
        process = subprocess.Popen(
            [self.isoq, 'run', '--json', '--timeout', str(timeout_ms), '-e', PRELUDE + code], stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, encoding='utf-8', env=environment, cwd=self.home,
            preexec_fn=rigs.die_with_parent)
        self.started.append(process)
        return Running(process, code)

    def run(self, code, **how):
        return self.start(code, **how).finish()

    def value(self, code, **how):
        """Of a script that must end well and give JSON."""
        return self.value_of(self.run(code, **how), code)

    @staticmethod
    def value_of(result, code=''):
        true(f'{code[:300]!r}: {result["status"]} {result["error"]} {result["stderr"][-500:]}', result['status'] == 'ok')
        return json.loads(result['result'])

    def rejection(self, call, **how):
        """What `call` rejects with; it must reject."""
        found = self.value(f'const r = await attempt(() => {call}); r', **how)
        true(f'{call} gave {str(found)[:300]}', 'resolved' not in found)
        true(f'{call}: no Error but {found}', found['isError'] and found['name'] and found['message'])
        return found

    # ---- a worker

    def start_worker(self, environment=None, preload=None, program=None, **settings):
        if self.redis is None:
            self.redis_server = rigs.RedisServer(self.rig).start().ready()
            self.redis = self.redis_server.connect(timeout_s=300)
        self.redis('FLUSHALL')
        environment = self.environment() if environment is None else environment
        if preload:
            environment['LD_PRELOAD'] = preload
        self.number += 1
        settings = {'executors': 2, 'aws_assume_role': 'isoq-reader', 'log_level': 'debug', **settings}
        arguments = [program or self.isoq, 'worker', '--redis', f'unix://{self.redis_server.socket}']
        for name, value in settings.items():
            arguments += ['--' + name.replace('_', '-'), str(value)]
        self.log_name = f'worker{self.number}.log'
        # As rigs.Worker, whose environment is the test's own with additions.
        self.worker = self.rig.spawn(self.log_name, arguments, environment)
        rigs.until('the worker serves', self.worker_is_there)
        return self.worker

    def worker_is_there(self):
        true(f'the worker ended: {self.worker_log()[-800:]}', self.worker.poll() is None)
        return self.redis('ZCARD', PREFIX + 'workers') == 1

    def worker_log(self):
        with open(self.rig.path(self.log_name), encoding='utf-8', errors='replace') as file:
            return file.read()

    def submit(self, job_id, code, **fields):
        self.redis('LPUSH', JOBS, json.dumps({'id': job_id, 'code': PRELUDE + code, **fields}))

    def result(self, job_id, patience_s=60):
        answer = self.redis('BLPOP', f'{PREFIX}reply:{job_id}', patience_s)
        true(f'no result of {job_id} within {patience_s} s; {self.worker_log()[-500:]}', answer is not None)
        return json.loads(answer[1])


def resource_objects(owner, where, count, type_name='AWS::EC2::Instance'):
    """What queryResources gives."""
    return [{'id': item['InstanceId'], 'type': type_name, 'accountId': owner, 'region': where, 'properties': item}
            for item in (data.resource_properties(owner, where, type_name, i) for i in range(count))]


def accounts(count):
    return [{'id': a['Id'], 'name': a['Name'], 'email': a['Email'], 'status': a['Status']}
            for a in map(data.account, range(count))]


def requests(s, operation):
    return s.fake.count(f'operations/{operation}/requests')
