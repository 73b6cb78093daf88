"""The frames of worker/wire.h, written a second time and from its text alone, so that a mistake in the C codec cannot
hide by being made on both ends; and an executor to exchange them with, as the broker would.

Every read has a deadline. Every executor is killed and reaped by the object that started it, through a pidfd.
"""
import json
import math
import os
import select
import signal
import socket
import struct
import time

HEADER = struct.Struct('<IB3xI')
HELLO, JOB, CONSOLE, RESULT, DYING, INSPECT_IN, INSPECT_OUT = 1, 2, 3, 4, 5, 9, 10
MAXIMA = {HELLO: 512, JOB: 64 << 20, CONSOLE: 17 << 20, RESULT: 80 << 20, DYING: 1024,
          INSPECT_IN: (32 << 20) + 4, INSPECT_OUT: (32 << 20) + 4}
PROTOCOL_VERSION = 4
STATUSES = ('ok', 'error', 'timeout', 'cpu_timeout', 'oom', 'output_limit', 'crashed', 'sandbox_violation',
            'cancelled', 'invalid', 'worker_lost')
TYPES = (None, 'undefined', 'null', 'boolean', 'number', 'bigint', 'string', 'symbol', 'function', 'array', 'object')
LEVELS = ('log', 'info', 'debug', 'warn', 'error')
STREAMS = {'log': 'stdout', 'info': 'stdout', 'debug': 'stdout', 'warn': 'stderr', 'error': 'stderr'}
START_PATIENCE_S = 60
DEFAULT_MEMORY_MB = 128
EXIT_PATIENCE_S = 30
EXIT_OK, EXIT_OOM, EXIT_REWIND = 0, 70, 76


class WireError(Exception):
    """The executor broke a rule, or was silent too long."""


class Reader:
    def __init__(self, payload):
        self.payload, self.at = payload, 0

    def take(self, layout):
        size = struct.calcsize('<' + layout)
        if self.at + size > len(self.payload):
            raise WireError('a frame ends too early')
        values = struct.unpack_from('<' + layout, self.payload, self.at)
        self.at += size
        return values if len(values) > 1 else values[0]

    def text(self):
        length = self.take('I')
        if self.at + length > len(self.payload):
            raise WireError('a text ends too early')
        self.at += length
        try:
            return self.payload[self.at - length:self.at].decode('utf-8')
        except UnicodeDecodeError as error:
            raise WireError(f'a text is not UTF-8: {error}') from None

    def word(self, words):
        index = self.take('B')
        if index >= len(words):
            raise WireError(f'{index} is none of {len(words)} values')
        return words[index]

    def flags(self, count):
        bits = self.take('B')
        if bits >> count:
            raise WireError('unknown flags')
        return [bool(bits >> i & 1) for i in range(count)]

    def end(self):
        if self.at != len(self.payload):
            raise WireError('a frame is too long for its message')


def text(value):
    data = value if isinstance(value, bytes) else value.encode('utf-8')
    return struct.pack('<I', len(data)) + data


def encode_job(number, job):
    """A job as in the contract (DESIGN 1.2), with `raw_code` for code that is no JSON text on the wire."""
    seed, has_input, raw = job.get('seed'), 'input' in job, job.get('raw_code', False)
    # Escapes, so that lone surrogates survive.
    code = job['code'] if raw else json.dumps(job['code'])
    inspect = job.get('inspect')  # the job's name for a debugger
    flags = (job.get('capture_console', True) | (not raw) << 1 | (seed is not None) << 2 | has_input << 3 |
             (inspect is not None) << 6)
    payload = struct.pack('<IIIIIQQQQB', job.get('timeout_ms', 30000), job.get('cpu_ms', 0), job.get('max_timers', 10000), 0, 0,
                          job.get('memory_mb', DEFAULT_MEMORY_MB) << 20, job.get('max_output_bytes', 1 << 20),
                          job.get('max_result_bytes', 8 << 20), seed or 0, flags) + text(code)
    if has_input:
        payload += text(job['input'])
    if inspect is not None:
        payload += text(inspect)
    return HEADER.pack(len(payload), JOB, number) + payload


def decode_hello(payload):
    reader = Reader(payload)
    protocol, (locked_down,) = reader.take('I'), reader.flags(1)
    hello = {'locked_down': locked_down, 'v8_version': reader.text(), 'sandbox': reader.text()}
    reader.end()
    if protocol != PROTOCOL_VERSION:
        raise WireError(f'protocol {protocol}')
    return hello


def decode_console(payload):
    reader, entries = Reader(payload), []
    while reader.at < len(payload):
        level, (truncated,) = reader.word(LEVELS), reader.flags(1)
        entries.append({'level': level, 'text': reader.text(), 'truncated': truncated})
    return entries


def decode_result(payload):
    reader = Reader(payload)
    result = {'status': reader.word(STATUSES), 'result_type': reader.word(TYPES), 'result': None, 'error': None}
    has_result, stdout_truncated, stderr_truncated, has_error, result['retire'] = reader.flags(5)
    result['truncated'] = {'stdout': stdout_truncated, 'stderr': stderr_truncated}
    result['execution_time_ms'], result['cpu_time_ms'], result['peak_memory_bytes'] = reader.take('ddQ')
    if has_result:
        result['result'] = reader.text()
    if has_error:
        line, column = reader.take('ii')
        result['error'] = {'name': reader.text(), 'message': reader.text(), 'stack': reader.text(),
                           'line': line, 'column': column}
        if line < 0 or column < 0:
            raise WireError('a negative position')
    reader.end()
    for key in 'execution_time_ms', 'cpu_time_ms':
        if not math.isfinite(result[key]) or result[key] < 0:
            raise WireError(f'{key} is {result[key]}')
    if (result['error'] is None) != (result['status'] == 'ok'):
        raise WireError('status and error do not agree')
    return result


def decode_dying(payload):
    reader = Reader(payload)
    dying = {'status': reader.word(STATUSES), 'why': reader.text()}
    reader.end()
    return dying


class Executor:
    """One isoq-executor. `used`: jobs that it has answered."""

    def __init__(self, path, *arguments):
        self.used, self.code = 0, None
        self.socket, child = socket.socketpair()
        environment = {name: os.environ[name] for name in ('ASAN_OPTIONS', 'UBSAN_OPTIONS', 'LSAN_OPTIONS')
                       if name in os.environ}
        try:
            self.pid = os.posix_spawn(path, [path, *arguments], environment, setsigmask=[], file_actions=[
                (os.POSIX_SPAWN_DUP2, child.fileno(), 3), (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0)])
        finally:
            child.close()
        self.pidfd = os.pidfd_open(self.pid)
        self.hello = None

    def wait_ready(self):
        if self.hello is None:
            kind, number, payload = self.read_frame(time.monotonic() + START_PATIENCE_S)
            if kind != HELLO or number != 0:
                raise WireError('its first frame is no HELLO')
            self.hello = decode_hello(payload)
            if not self.hello['locked_down']:
                raise WireError('it is not locked down')

    def read(self, length, deadline):
        data = bytearray()
        while len(data) < length:
            self.socket.settimeout(max(0.001, deadline - time.monotonic()))
            try:
                part = self.socket.recv(min(length - len(data), 1 << 20))
            except (TimeoutError, socket.timeout):
                raise WireError('it is silent') from None
            except ConnectionResetError:
                part = b''
            if not part:
                raise EOFError
            data += part
        return bytes(data)

    def read_frame(self, deadline):
        head = self.read(HEADER.size, deadline)
        length, kind, number = HEADER.unpack(head)
        if kind not in MAXIMA or head[5:8] != b'\0\0\0' or length > MAXIMA[kind]:
            raise WireError(f'a bad header: {head.hex()}')
        return kind, number, self.read(length, deadline)

    def run(self, job, patience_s):
        """The ExecutionResult's own part (DESIGN 1.3), as the broker would make it of the frames."""
        self.wait_ready()
        number, entries, dying = self.used + 1, [], None
        deadline = time.monotonic() + job.get('timeout_ms', 30000) / 1000 + patience_s
        self.socket.settimeout(patience_s)
        try:
            self.socket.sendall(encode_job(number, job))
            while True:
                kind, of_job, payload = self.read_frame(deadline)
                if of_job != number:
                    raise WireError(f'a frame for job {of_job} in job {number}')
                if kind == RESULT:
                    self.used += 1
                    return compose(decode_result(payload), entries)
                if kind == CONSOLE:
                    entries += decode_console(payload)
                elif kind == DYING:
                    dying = decode_dying(payload)
                else:
                    raise WireError(f'a frame of type {kind}')
        except (EOFError, BrokenPipeError):
            return compose(self.death(dying), entries)

    def death(self, dying):
        code = self.wait_exit()
        oom = code == EXIT_OOM or (dying or {}).get('status') == 'oom'
        status = 'oom' if oom else 'sandbox_violation' if code == -signal.SIGSYS else 'crashed'
        return {'status': status, 'retire': True, 'result_type': None, 'result': None, 'peak_memory_bytes': 0,
                'truncated': {'stdout': False, 'stderr': False},
                'error': {'name': 'Death', 'message': (dying or {}).get('why', f'exit {code}'), 'stack': '',
                          'line': 0, 'column': 0}}

    def wait_exit(self, patience_s=EXIT_PATIENCE_S):
        """Its exit code, or the negative number of the signal."""
        if self.code is None:
            if not select.select([self.pidfd], [], [], patience_s)[0]:
                raise WireError('it does not end')
            self.code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
            os.close(self.pidfd)
        return self.code

    def finish(self):
        """Closes the socket between two jobs: it must leave by itself, and well."""
        self.socket.close()
        if self.wait_exit() != EXIT_OK:
            raise WireError(f'after its jobs it ended with {self.code}')

    def kill(self):
        self.socket.close()
        if self.code is None:
            signal.pidfd_send_signal(self.pidfd, signal.SIGKILL)
            self.wait_exit()


def compose(result, entries):
    """Streams and console entries, by the broker's rules (worker/outcome.c)."""
    streams = {'stdout': [], 'stderr': []}
    for entry in entries:
        stream = STREAMS[entry['level']]
        streams[stream].append(entry['text'] + '\n')
        result['truncated'][stream] |= entry['truncated']
    error = result['error']
    if error:
        parts = [part for part in (error['name'], error['message']) if part]
        streams['stderr'].append((error['stack'] or ': '.join(parts)) + '\n')
    result['console_output'] = [{'level': entry['level'], 'text': entry['text']} for entry in entries]
    return {**result, 'stdout': ''.join(streams['stdout']), 'stderr': ''.join(streams['stderr'])}
