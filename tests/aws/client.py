"""The fake AWS as the tests see it: a process, and what to tell and ask it."""
import http.client
import json
import os
import select
import subprocess
import sys
import urllib.parse

HERE = os.path.dirname(os.path.abspath(__file__))
START_PATIENCE_S = 20


class FakeError(Exception):
    """The fake AWS did not do what it was told, or something did not happen in time."""


class Fake:
    """Starts fake_aws.py; `port` etc. are those it printed. end() must be called."""

    def __init__(self, folder=None, bind='127.0.0.1', port=0):
        arguments = [sys.executable, os.path.join(HERE, 'fake_aws.py'), '--bind', bind, '--port', str(port)]
        if folder is not None:
            arguments += ['--tls-dir', folder]
        self.process = subprocess.Popen(arguments, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        if not select.select([self.process.stdout], [], [], START_PATIENCE_S)[0]:
            self.end()
            raise FakeError('the fake AWS did not start')
        line = self.process.stdout.readline()
        if not line:
            self.end()
            raise FakeError('the fake AWS ended at its start')
        ports = json.loads(line)
        self.bind, self.port, self.other_port, self.ca = '127.0.0.1', ports['port'], ports['other_port'], ports['ca']
        self.tls_port, self.wrong_name_port = ports['tls_port'], ports['wrong_name_port']
        self.url, self.other_url = f'http://127.0.0.1:{self.port}', f'http://127.0.0.1:{self.other_port}'

    def end(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.process.stdout.close()

    def ask(self, method, what, content=None, timeout_s=60):
        connection = http.client.HTTPConnection(self.bind, self.port, timeout=timeout_s)
        try:
            connection.request(method, '/_control/' + what, None if content is None else json.dumps(content))
            response = connection.getresponse()
            answer = json.loads(response.read())
        finally:
            connection.close()
        if response.status != 200:
            raise FakeError(f'{method} {what}: {response.status} {answer}')
        return answer

    def reset(self, keys=None, **config):
        self.ask('POST', 'reset', {'config': config, 'keys': keys or {}})

    def config(self, **changes):
        self.ask('POST', 'config', changes)

    def keys(self, **keys):
        self.ask('POST', 'keys', keys)

    def fault(self, do, **match):
        """fault('hang', operation='ListAccounts', nth=2); fault({'kind': 'slow', 'bytes_per_s': 100})"""
        self.ask('POST', 'faults', [{'match': match, 'do': do}])

    def no_faults(self):
        self.ask('DELETE', 'faults')

    def release(self):
        self.ask('POST', 'release')

    def counters(self):
        return self.ask('GET', 'counters')

    def log(self):
        return self.ask('GET', 'log')

    def count(self, path):
        node = self.counters()
        for part in path.split('/'):
            node = node.get(part, 0) if isinstance(node, dict) else 0
        return node

    def wait(self, path, at_least=None, at_most=None, timeout_s=20):
        query = {'path': path, 'timeout_s': timeout_s}
        if at_least is not None:
            query['at_least'] = at_least
        if at_most is not None:
            query['at_most'] = at_most
        return self.ask('GET', 'wait?' + urllib.parse.urlencode(query), timeout_s=timeout_s + 30)['value']
