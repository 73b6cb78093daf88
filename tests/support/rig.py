"""What the Python tests of the queue stand on: a client for Redis, a real redis-server, real workers, and the promise
that nothing of it outlives the test.

Everything lives in one temporary folder. The test is a "subreaper": whatever a worker leaves behind becomes a child of
the test, so an orphan can be seen (Rig.orphans) and is ended with the rest. Children that are started here die with the
test, whatever ends it. Nothing sleeps for a guess: until() looks for a condition, with a deadline.
"""
import ctypes
import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

PREFIX = 'isoq:{default}:'
JOBS = PREFIX + 'jobs'
LIBC = ctypes.CDLL(None)
PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36
SKIPPED = 77


class Failure(Exception):
    """The run cannot go on, or has shown that something is wrong."""


class RedisError(Exception):
    """Redis answered with an error."""


# ---- Redis


class Redis:
    """One blocking connection. `address`: the path of a socket, or (host, port). OSError: the connection is lost."""

    def __init__(self, address, timeout_s=20, password=None):
        self.socket = socket.socket(socket.AF_UNIX if isinstance(address, str) else socket.AF_INET)
        self.socket.settimeout(timeout_s)
        try:
            self.socket.connect(address)
            self.file = self.socket.makefile('rb')
            if password:
                self('AUTH', password)
        except Exception:
            self.socket.close()
            raise

    def __call__(self, *words):
        self.send(*words)
        return self.read()

    def send(self, *words):
        self.socket.sendall(encode(words))

    def many(self, commands):
        """All at once; a list of answers. Errors among them are raised after the last one was read."""
        self.socket.sendall(b''.join(encode(words) for words in commands))
        answers, error = [], None
        for _ in commands:
            try:
                answers.append(self.read())
            except RedisError as one:
                error = one
        if error:
            raise error
        return answers

    def read(self):
        line = self.file.readline()
        if not line.endswith(b'\r\n'):
            raise ConnectionResetError('Redis closed the connection')
        kind, rest = line[:1], line[1:-2]
        if kind == b'-':
            raise RedisError(rest.decode('utf-8', 'replace'))
        if kind == b'+':
            return rest.decode()
        if kind == b':':
            return int(rest)
        if kind == b'$':
            return None if rest == b'-1' else self.read_bytes(int(rest))
        if kind == b'*':
            return None if rest == b'-1' else [self.read() for _ in range(int(rest))]
        raise Failure(f'Redis: {line!r}')

    def read_bytes(self, count):
        data = self.file.read(count + 2)
        if data is None or len(data) != count + 2:
            raise ConnectionResetError('Redis closed the connection')
        return data[:-2]

    def close(self):
        self.file.close()
        self.socket.close()

    def keys(self, pattern='*'):
        found, cursor = set(), '0'
        while True:
            cursor, some = self('SCAN', cursor, 'MATCH', pattern, 'COUNT', 5000)
            found.update(key.decode() for key in some)
            if cursor == b'0':
                return sorted(found)

    def stats(self, queue='default'):
        flat = [part.decode() for part in self('HGETALL', f'isoq:{{{queue}}}:stats')]
        return {name: int(value) for name, value in zip(flat[::2], flat[1::2])}


def encode(words):
    parts = [b'*%d\r\n' % len(words)]
    for word in words:
        word = word if isinstance(word, bytes) else str(word).encode()
        parts.append(b'$%d\r\n%s\r\n' % (len(word), word))
    return b''.join(parts)


# ---- processes


def until(what, condition, patience_s=30):
    deadline = time.monotonic() + patience_s
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise Failure(f'{what}: not within {patience_s} s')
        time.sleep(0.02)


def stat_fields(pid):
    """Those of /proc/PID/stat behind the name: state, parent, …; None: there is no such process."""
    try:
        with open(f'/proc/{pid}/stat', 'rb') as file:
            return file.read().rpartition(b')')[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None


def children(pid):
    """Living ones: {pid: start time}; together they name one process for ever."""
    found = {}
    for entry in os.listdir('/proc'):
        fields = stat_fields(entry) if entry.isdigit() else None
        if fields and int(fields[1]) == pid and fields[0] not in (b'Z', b'X'):
            found[int(entry)] = fields[19]
    return found


def is_there(pid, started):
    fields = stat_fields(pid)
    return fields is not None and fields[19] == started and fields[0] not in (b'Z', b'X')


def resident_kb(pid):
    with open(f'/proc/{pid}/status', encoding='ascii') as file:
        return int(re.search(r'^VmRSS:\s+(\d+) kB', file.read(), re.M).group(1))


def send_signal(pid, number):
    """False: it is gone."""
    try:
        os.kill(pid, number)
        return True
    except ProcessLookupError:
        return False


def free_port():
    with socket.socket() as one:
        one.bind(('127.0.0.1', 0))
        return one.getsockname()[1]


def die_with_parent():
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def bin_dir():
    found = os.environ.get('ISOQ_TEST_BIN_DIR')
    if not found:
        sys.exit('ISOQ_TEST_BIN_DIR: set it to the folder of isoq and isoq-executor, such as build/release/bin')
    return os.path.abspath(found)


def under_asan():
    return 'ASAN_OPTIONS' in os.environ


def program_environment():
    """The tests' own ISOQ_ variables would be settings to isoq."""
    return {name: value for name, value in os.environ.items()
            if not name.startswith('ISOQ_') and name != 'REDIS_URL'}


class Rig:
    """A folder and the processes in it: `with Rig('isoq-chaos-') as rig`."""

    def __init__(self, name):
        self.dir = tempfile.mkdtemp(prefix=name)
        self.processes, self.keep = [], False
        LIBC.prctl(PR_SET_CHILD_SUBREAPER, 1)
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
        signal.signal(signal.SIGINT, lambda *_: sys.exit(130))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.end()

    def path(self, *parts):
        return os.path.join(self.dir, *parts)

    def spawn(self, log, arguments, environment=None):
        with open(self.path(log), 'ab') as file:
            process = subprocess.Popen(arguments, stdin=subprocess.DEVNULL, stdout=file, stderr=file, cwd=self.dir,
                                       env=environment, preexec_fn=die_with_parent)
        self.processes.append(process)
        return process

    def orphans(self):
        """Living children that the test did not start: what a dead worker left."""
        known = {process.pid for process in self.processes}
        return {pid: started for pid, started in children(os.getpid()).items() if pid not in known}

    def reap(self):
        """Those orphans that have died since."""
        known = {process.pid for process in self.processes}
        for entry in os.listdir('/proc'):
            fields = stat_fields(entry) if entry.isdigit() else None
            if fields and int(fields[1]) == os.getpid() and fields[0] == b'Z' and int(entry) not in known:
                try:
                    os.waitpid(int(entry), os.WNOHANG)
                except ChildProcessError:
                    pass

    def end(self):
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)  # this is the end already
        for process in reversed(self.processes):
            if process.poll() is None:
                process.kill()
                process.wait()
        for pid in self.orphans():
            send_signal(pid, signal.SIGKILL)
        self.reap()
        if not self.keep:
            shutil.rmtree(self.dir, ignore_errors=True)


class RedisServer:
    """A redis-server of the test's own, on a socket in `rig`'s folder (and a port, if one is given)."""

    def __init__(self, rig, name='redis', arguments=(), port=0, password=None):
        self.rig, self.name, self.port, self.password = rig, name, port, password
        self.dir, self.socket = rig.path(name), rig.path(name + '.sock')
        os.makedirs(self.dir, exist_ok=True)
        self.arguments = ['redis-server', '--port', str(port), '--unixsocket', self.socket, '--dir', self.dir,
                          '--save', '']
        if password:
            self.arguments += ['--requirepass', password]
        self.arguments += list(arguments)
        self.process = None

    def start(self):
        self.process = self.rig.spawn(self.name + '.log', self.arguments)
        return self

    def ready(self):
        until(f'{self.name} answers', self.answers)
        return self

    def answers(self):
        try:
            redis = self.connect(2)
        except (OSError, RedisError):
            return False
        try:
            return redis('PING') == 'PONG'
        except (OSError, RedisError):
            return False
        finally:
            redis.close()

    def connect(self, timeout_s=20):
        return Redis(self.socket, timeout_s, self.password)

    def kill(self):
        self.process.kill()
        self.process.wait()

    def signal(self, number):
        send_signal(self.process.pid, number)


class Sentinel(RedisServer):
    """A redis-server in Sentinel mode. `settings`: of the primary, as `sentinel NAME` lines have them."""

    def __init__(self, rig, name, primary_name, primary_port, quorum, settings):
        super().__init__(rig, name, port=free_port())
        lines = [f'port {self.port}', f'unixsocket {self.socket}', f'dir {self.dir}',
                 f'sentinel monitor {primary_name} 127.0.0.1 {primary_port} {quorum}']
        lines += [f'sentinel {setting} {primary_name} {value}' for setting, value in settings.items()]
        with open(rig.path(name + '.conf'), 'w', encoding='ascii') as file:  # it writes what it learns into it
            file.write('\n'.join(lines) + '\n')
        self.arguments = ['redis-server', rig.path(name + '.conf'), '--sentinel']

    def about_primary(self, primary_name):
        redis = self.connect()
        flat = [part.decode() for part in redis('SENTINEL', 'MASTER', primary_name)]
        redis.close()
        return dict(zip(flat[::2], flat[1::2]))


class Worker:
    """isoq worker, with its log as JSON in a file of its own."""

    def __init__(self, rig, name, url, settings, program=None, environment=None):
        self.rig, self.name = rig, name
        self.log = rig.path(name + '.log')
        arguments = [program or os.path.join(bin_dir(), 'isoq'), 'worker', '--redis', url, '--log-format', 'json']
        for setting, value in settings.items():
            arguments += ['--' + setting.replace('_', '-'), str(value)]
        self.process = rig.spawn(name + '.log', arguments, {**program_environment(), **(environment or {})})
        self.pid = self.process.pid

    def alive(self):
        return self.process.poll() is None

    def read_log(self):
        """(events, lines that are none). The last line of a killed worker may be cut."""
        events, strange = [], []
        with open(self.log, encoding='utf-8', errors='replace') as file:
            for line in file:
                try:
                    event = json.loads(line)
                except ValueError:
                    if line.endswith('\n'):
                        strange.append(line.rstrip('\n'))
                    continue
                events.append(event)
        return events, strange

    def events(self, name):
        return [event for event in self.read_log()[0] if event.get('event') == name]

    def redis_name(self):
        """Its name in Redis, new for every incarnation."""
        started = self.events('start')
        return started[0]['worker'] if started else None

    def stop(self, patience_s=60):
        """SIGTERM; the exit status."""
        send_signal(self.pid, signal.SIGTERM)
        return self.wait(patience_s)

    def wait(self, patience_s=60):
        try:
            return self.process.wait(patience_s)
        except subprocess.TimeoutExpired:
            raise Failure(f'{self.name} did not end within {patience_s} s; {self.tail()}') from None

    def kill(self):
        self.process.kill()
        self.process.wait()

    def tail(self, lines=15):
        with open(self.log, encoding='utf-8', errors='replace') as file:
            return f'the end of {self.name}.log:\n' + ''.join(file.readlines()[-lines:])


def random_seed():
    return random.SystemRandom().randrange(1 << 31)
