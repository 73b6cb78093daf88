#!/usr/bin/env python3
"""The tests' own AWS: one process on 127.0.0.1 that speaks the real wire formats, checks every signature, serves pages,
and misbehaves when told to.

Starts, prints one line of JSON {"port", "other_port", "tls_port", "wrong_name_port", "ca"} and serves until it is killed.
services.py says which of AWS' documents each shape comes from, sigv4.py checks signatures, data.py knows the answers.
A port serves everything: the operation is known by X-Amz-Target, by the path or by the form field Action. The ports with
TLS exist with --tls-dir, where the openssl command makes a CA and certificates of the real host names; the port also
answers CONNECT, so that a client with HTTPS_PROXY set can be seen asking for the real hosts.

Under /_control/ (no signature, not counted), JSON in and out:

  POST reset            everything as at start, connections stay; the body may have "config" and "keys"
  POST config           changes settings: see DEFAULTS
  POST keys             {access key: {secret, token, account, arn, expires_at, revoked}, …}: adds or changes
  POST faults           a list of {"match": {…}, "do": {"kind": …}}: adds rules; DELETE faults: removes all
  POST release          lets everything that hangs be answered
  GET  counters         the whole tree
  GET  log              every request: t (s), service.operation, account, region, key, host, status, code, fault
  GET  wait?path=operations/cloudtrail.LookupEvents/requests&at_least=3&timeout_s=20    or at_most=N: answers when it is so;
                        status 504 when it was not in time

A rule's match: service, operation, account, region, key; of the requests that match, nth (a number or a list, from 1),
every (N), probability with seed, and at most `times` of them. Without any of these: all. The first rule that fires
decides. Kinds:

  throttle                  the service's own throttling error
  error                     code, status (400), message
  retry_after               status 503 with Retry-After: seconds
  redirect                  307 to `location`
  hang                      no answer, until released or the client goes
  reset                     RST instead of an answer
  close_early               the first `after` bytes of the true answer, then FIN
  truncate                  half of the body with a fitting Content-Length
  wrong_content_length      Content-Length is `delta` too large, then FIN
  slow                      `bytes_per_s`
  delay                     `ms` before the true answer
  garbage                   200 with a body that is no JSON and no XML;  garbage_http: not even HTTP
  empty                     200 without a body
  body                      200 with `text` as the body
  huge                      200 with a well-formed body of at least `bytes`
  deep                      200 with a body nested `depth` levels deep
  entities                  XML that would expand to gigabytes

Every counter lives in one tree (see Counters). A refused signature is counted and kept with its reason and the canonical
request: a test ends by asserting that there was none.
"""
import argparse
import asyncio
import collections
import ctypes
import json
import os
import random
import secrets
import shutil
import signal
import socket
import ssl
import struct
import subprocess
import sys
import time
import urllib.parse
import uuid

sys.dont_write_bytecode = True

import data
import services
import sigv4
from services import OPERATIONS, ServiceError

MAX_HEAD_BYTES = 64 * 1024
MAX_BODY_BYTES = 8 << 20
OWN_KEY = {'secret': 'own+secret/OWNSECRETOWNSECRETOWNSECRET01', 'token': None, 'account': data.OWN_ACCOUNT,
           'arn': f'arn:aws:iam::{data.OWN_ACCOUNT}:user/tester', 'expires_at': None, 'revoked': False}
OWN_ACCESS_KEY = 'AKIAOWNKEYEXAMPLE001'
DEFAULTS = {
    'accounts': 45, 'account_page': 20,        # pages are as large as asked for, but no larger than these
    'regions': 12, 'region_page': 5,
    'resources': 230, 'resource_page': 100, 'types': ['AWS::EC2::Instance', 'AWS::S3::Bucket'],
    'log_events': 1200, 'log_page': 500, 'log_empty_pages': 1, 'log_groups': ['/app/web'],
    'trail_events': 120, 'trail_page': 50,
    'organization': 'management',              # or denied, none
    'roles': {'isoq-reader': {}},              # may be assumed in every account; {external_id, not_in: [accounts]}
    'session_ttl_s': None,                     # of assumed roles; None: as asked
    'web_identity_token': 'web-identity-token',
    'imds': {'role': 'machine-role', 'ttl_s': 21600, 'rotate_at': 0.02, 'token_ttl_s': 21600, 'region': 'us-east-1'},
    'container': {'role': 'task', 'ttl_s': 21600, 'rotate_at': 0.02, 'authorization': None},
    'clock_skew_s': 0,                         # how far the server's clock is ahead
    'time_window_s': 300,
    'latency_ms': 0,
    'limits': {},                              # {"cloudtrail.LookupEvents": {"per_s": 2, "burst": 2}}: in each account
                                               # and region
}
HOST_NAMES = ('localhost', '*.amazonaws.com', *(f'*.{region}.amazonaws.com{suffix}' for region, suffix in (
    ('us-east-1', ''), ('eu-west-1', ''), ('us-gov-west-1', ''), ('us-gov-east-1', ''), ('cn-north-1', '.cn'),
    ('cn-northwest-1', '.cn'))))


class Gone(Exception):
    """The client closed the connection."""


class Counters:
    """One tree. operations/<name>/{requests, ok, in_flight, peak_in_flight, max_per_second, throttled_by_limit, aborted,
    errors/<code>, faults/<kind>, accounts/<n>, regions/<n>, keys/<n>, ports/<n>}; total/…the same…; connections/{opened,
    tls, open, requests, reused}; signature_failures; proxy/<host:port>; imds/v1_refused; container/unauthorized;
    protocol_errors. The list of signature failures and of protocol errors stands beside it."""

    def __init__(self):
        self.tree, self.changed = {}, asyncio.Event()
        self.arrivals = collections.defaultdict(collections.deque)

    def add(self, path, amount=1):
        node = self.tree
        *parents, leaf = path
        for part in parents:
            node = node.setdefault(part, {})
        node[leaf] = node.get(leaf, 0) + amount
        self.tell()
        return node[leaf]

    def raise_to(self, path, value):
        node = self.tree
        *parents, leaf = path
        for part in parents:
            node = node.setdefault(part, {})
        node[leaf] = max(node.get(leaf, 0), value)

    def get(self, path):
        node = self.tree
        for part in path:
            node = node.get(part) if isinstance(node, dict) else None
            if node is None:
                return 0
        return node

    def tell(self):
        self.changed.set()
        self.changed = asyncio.Event()

    def begin(self, names):
        now = time.monotonic()
        for name in names:
            self.add((*name, 'requests'))
            self.raise_to((*name, 'peak_in_flight'), self.add((*name, 'in_flight')))
            recent = self.arrivals[name]
            recent.append(now)
            while recent[0] <= now - 1:
                recent.popleft()
            self.raise_to((*name, 'max_per_second'), len(recent))

    def end(self, names, outcome):
        for name in names:
            self.add((*name, 'in_flight'), -1)
            self.add((*name, *outcome))


class Bucket:
    """A token bucket, as AWS' own limits are; a quarter of a token is forgiven, for the network's jitter."""

    def __init__(self, per_s, burst):
        self.per_s, self.burst, self.tokens, self.at = per_s, burst + 0.25, burst + 0.25, time.monotonic()

    def take(self):
        now = time.monotonic()
        self.tokens, self.at = min(self.burst, self.tokens + (now - self.at) * self.per_s), now
        if self.tokens < 1:
            return False
        self.tokens -= 1
        return True


class Request:
    def __init__(self, method, target, headers, body):
        self.method, self.headers, self.body = method, headers, body
        self.path, _, self.query = target.partition('?')
        self.name, self.who, self.params = 'unknown', None, None

    def header(self, name):
        return next((value.strip() for key, value in self.headers if key.lower() == name), None)

    def identify(self):
        """The operation's name in OPERATIONS, or "unknown"."""
        target = self.header('x-amz-target')
        if target is not None:
            return services.TARGETS.get(target, 'unknown')
        if self.path == '/listRegions':
            return 'account.ListRegions'
        if self.path == '/latest/api/token':
            return 'imds.GetToken' if self.method == 'PUT' else 'unknown'
        credentials = '/latest/meta-data/iam/security-credentials'
        if self.path.startswith('/latest/'):
            return 'imds.GetRoleName' if self.path in (credentials, credentials + '/') else \
                'imds.GetCredentials' if self.path.startswith(credentials + '/') else 'imds.Other'
        if self.path.startswith('/v2/credentials'):
            return 'container.GetCredentials'
        action = dict(urllib.parse.parse_qsl(self.body.decode('utf-8', 'replace'))).get('Action')
        return f'sts.{action}' if f'sts.{action}' in OPERATIONS else 'unknown'

    def scope(self):
        """What the Authorization header claims, checked or not: (access key, region)."""
        try:
            parts = sigv4.parse_authorization(self.header('authorization') or '')
            return parts[0], parts[2]
        except sigv4.AuthError:
            return '', ''


class Response:
    def __init__(self, status, content_type, body, headers=(), code=None):
        self.status, self.content_type, self.body = status, content_type, body
        self.headers, self.code = list(headers), code

    def encode(self, content_length=None, keep=True):
        length = len(self.body) if content_length is None else content_length
        lines = [f'HTTP/1.1 {self.status} Status', f'Content-Type: {self.content_type}', f'Content-Length: {length}',
                 *(f'{name}: {value}' for name, value in self.headers)]
        if not keep:
            lines.append('Connection: close')
        return ('\r\n'.join(lines) + '\r\n\r\n').encode() + self.body


class Rule:
    CONDITIONS = ('nth', 'every', 'probability', 'seed', 'times')
    KINDS = ('throttle', 'error', 'retry_after', 'redirect', 'hang', 'reset', 'close_early', 'truncate',
             'wrong_content_length', 'slow', 'delay', 'garbage', 'garbage_http', 'empty', 'body', 'huge', 'deep',
             'entities')

    def __init__(self, spec):
        match = dict(spec.get('match', {}))
        self.when = {key: match.pop(key) for key in self.CONDITIONS if key in match}
        self.match = match
        self.do = {'kind': spec['do']} if isinstance(spec['do'], str) else dict(spec['do'])
        if self.do.get('kind') not in self.KINDS or set(match) - {'service', 'operation', 'account', 'region', 'key'}:
            raise ValueError(f'no such fault: {spec}')
        self.seen = self.fired = 0
        self.chance = random.Random(self.when.get('seed', 1))

    def fires(self, facts):
        if any(facts[key] != value for key, value in self.match.items()):
            return False
        self.seen += 1
        nth = self.when.get('nth')
        if nth is not None and self.seen not in (nth if isinstance(nth, list) else [nth]):
            return False
        if self.seen % self.when.get('every', 1) or self.chance.random() >= self.when.get('probability', 1):
            return False
        if self.fired >= self.when.get('times', self.fired + 1):
            return False
        self.fired += 1
        return True


class Server:
    def __init__(self):
        self.release = asyncio.Event()
        self.reset({})

    def reset(self, settings):
        self.release.set()
        self.release = asyncio.Event()
        self.counters = Counters() if not hasattr(self, 'counters') else self.fresh_counters()
        self.config = json.loads(json.dumps(DEFAULTS))
        self.keys, self.current, self.imds_tokens, self.rules, self.buckets = {}, {}, {}, [], {}
        self.signature_failures, self.protocol_errors, self.log = [], [], []
        self.request_id = ''
        self.change_keys({OWN_ACCESS_KEY: OWN_KEY})
        self.change_config(settings.get('config', {}))
        self.change_keys(settings.get('keys', {}))

    def fresh_counters(self):
        old = self.counters
        counters = Counters()
        counters.tree['connections'] = {'open': old.get(('connections', 'open'))}
        old.tell()
        return counters

    def change_config(self, changes):
        for name, value in changes.items():
            if name not in DEFAULTS:
                raise ValueError(f'no such setting: {name}')
            self.config[name] = {**self.config[name], **value} if name in ('imds', 'container') else value

    def change_keys(self, keys):
        for access_key, key in keys.items():
            self.keys[access_key] = {**OWN_KEY, **self.keys.get(access_key, {}), **key}

    def now(self):
        return time.time() + self.config['clock_skew_s']

    def issue(self, account, arn, ttl_s):
        access_key = 'ASIA' + secrets.token_hex(8).upper()
        key = {'secret': secrets.token_urlsafe(30), 'token': 'FwoG+' + secrets.token_urlsafe(120) + '/=',
               'account': account, 'arn': arn, 'expires_at': self.now() + ttl_s, 'revoked': False}
        self.keys[access_key] = key
        return access_key, key

    def count(self, *path):
        self.counters.add(path)

    # ---- one request

    def authenticate(self, request, operation):
        """Sets request.who, or returns the refusal."""
        access_key, _ = request.scope()
        request.who = {'account': '', 'arn': '', 'region': 'us-east-1'}
        if not operation.signed:
            return None
        try:
            who = sigv4.verify(request.method, request.path, request.query, request.headers, request.body, self.keys,
                               self.now(), self.config['time_window_s'])
            self.check_scope(who, operation)
            request.who = who
            return None
        except sigv4.AuthError as error:
            self.count('signature_failures')
            self.count('signature_failures_by_kind', error.kind)
            self.signature_failures.append({'operation': request.name, 'kind': error.kind, 'key': access_key,
                                            'reason': str(error)})
            code = services.AUTH_ERRORS[error.kind][operation.protocol == 'query']
            return self.render_error(operation, code, str(error), 400 if operation.protocol.startswith('json') else 403)

    @staticmethod
    def check_scope(who, operation):
        if who['service'] != operation.scope:
            raise sigv4.AuthError('scope', f"Credential should be scoped to correct service: '{operation.scope}'.")
        partition = data.partition(who['region'])
        if operation.is_global and who['region'] != services.GLOBAL_REGIONS[partition]:
            raise sigv4.AuthError('scope', f"Credential should be scoped to a valid region, not '{who['region']}'.")

    def parse_params(self, request, operation):
        content_type = (request.header('content-type') or '').partition(';')[0].strip()
        if request.method != 'POST' or content_type != services.CONTENT_TYPES[operation.protocol]:
            raise ServiceError('UnknownOperationException', f'{request.method} {content_type} is not how {request.name} is '
                                                            'asked')
        if operation.protocol == 'query':
            return dict(urllib.parse.parse_qsl(request.body.decode(), keep_blank_values=True, strict_parsing=True))
        params = json.loads(request.body or b'{}')
        if not isinstance(params, dict):
            raise ServiceError('SerializationException', 'the body is no object')
        return params

    def true_answer(self, request):
        """What the service says when nothing is made to go wrong."""
        operation = OPERATIONS[request.name]
        if operation.protocol == 'plain':
            return Response(*operation.handler(self, request, request.name.split('.')[1]))
        try:
            try:
                params = self.parse_params(request, operation)
            except (ValueError, ServiceError) as error:
                self.protocol_error(request, str(error))
                raise ServiceError('SerializationException', str(error)) from None
            if operation.protocol == 'query':
                params.pop('Action')
            answer = operation.handler(self, params, request.who)
        except ServiceError as error:
            if error.code == 'SerializationException' and str(error) not in [e['reason'] for e in self.protocol_errors]:
                self.protocol_error(request, str(error))
            return self.render_error(operation, error.code, str(error), error.status)
        if operation.protocol == 'query':
            return self.render(operation, 200, answer.encode())
        return self.render(operation, 200, json.dumps(answer).encode())

    def protocol_error(self, request, reason):
        self.count('protocol_errors')
        self.protocol_errors.append({'operation': request.name, 'reason': reason,
                                     'body': request.body[:2000].decode('utf-8', 'replace')})

    def render(self, operation, status, body, headers=(), code=None):
        content_type = {'query': 'text/xml', 'rest': 'application/json', 'plain': 'text/plain'}.get(
            operation.protocol, services.CONTENT_TYPES.get(operation.protocol))
        return Response(status, content_type, body, [('x-amzn-RequestId', self.request_id), *headers], code)

    def render_error(self, operation, code, message, status):
        if operation.protocol == 'query':
            fault = 'Sender' if status < 500 else 'Receiver'
            body = (f'<ErrorResponse xmlns="{services.STS_NAMESPACE}">\n  <Error>\n    <Type>{fault}</Type>\n'
                    f'    <Code>{services.escape(code)}</Code>\n    <Message>{services.escape(message)}</Message>\n'
                    f'  </Error>\n  <RequestId>{self.request_id}</RequestId>\n</ErrorResponse>\n')
            return self.render(operation, status, body.encode(), code=code)
        if operation.protocol == 'rest':
            return self.render(operation, status, json.dumps({'message': message}).encode(),
                               [('x-amzn-ErrorType', f'{code}:http://internal.amazon.com/coral/com.amazon.coral.service/')],
                               code)
        if operation.protocol == 'plain':
            return Response(status, 'application/json', json.dumps({'code': code, 'message': message}).encode(), code=code)
        # Both spellings of the member exist among the services, and both ways of naming the type.
        name = f'com.amazon.coral.service#{code}' if operation.protocol == 'json1.0' else code
        member = 'Message' if operation.scope == 'organizations' else 'message'
        return self.render(operation, status, json.dumps({'__type': name, member: message}).encode(), code=code)

    def throttle(self, operation):
        code, status = operation.throttle
        return self.render_error(operation, code, 'Rate exceeded', status)

    def over_limit(self, request):
        limit = self.config['limits'].get(request.name)
        if limit is None:
            return False
        place = (request.name, request.who['account'], request.who['region'])
        if place not in self.buckets:
            self.buckets[place] = Bucket(limit['per_s'], limit.get('burst', limit['per_s']))
        return not self.buckets[place].take()

    def choose_fault(self, request, facts):
        for rule in self.rules:
            if rule.fires(facts):
                return rule.do
        return None

    # ---- connections

    async def serve(self, reader, writer):
        self.count('connections', 'opened')
        self.count('connections', 'open')
        requests = 0
        try:
            if writer.get_extra_info('ssl_object') is not None:
                self.count('connections', 'tls')
            while True:
                request = await self.read_request(reader, writer)
                if request is None:
                    break
                if request.path.startswith('/_control/'):
                    await self.control(request, writer)
                    continue
                if request.method == 'CONNECT':
                    self.count('proxy', request.path)
                    writer.write(b'HTTP/1.1 200 Connected\r\n\r\n')
                    await writer.drain()
                    await writer.start_tls(self.tls)
                    continue
                requests += 1
                self.count('connections', 'requests')
                if requests > 1:
                    self.count('connections', 'reused')
                if not await self.answer(request, reader, writer):
                    break
        except (Gone, ConnectionError, asyncio.IncompleteReadError, ssl.SSLError):
            pass
        finally:
            self.counters.add(('connections', 'open'), -1)
            writer.close()

    async def read_request(self, reader, writer):
        try:
            head = await reader.readuntil(b'\r\n\r\n')
        except asyncio.IncompleteReadError:
            return None
        first, *lines = head[:-4].decode('latin-1').split('\r\n')
        method, target, _ = first.split(' ')
        headers = [(name, value) for name, _, value in (line.partition(':') for line in lines)]
        request = Request(method, target, headers, b'')
        if (request.header('expect') or '').lower() == '100-continue':
            writer.write(b'HTTP/1.1 100 Continue\r\n\r\n')
        if 'chunked' in (request.header('transfer-encoding') or '').lower():
            request.body = await self.read_chunks(reader)
        else:
            length = int(request.header('content-length') or 0)
            if length > MAX_BODY_BYTES:
                raise ConnectionError('a body that is too long')
            request.body = await reader.readexactly(length)
        return request

    @staticmethod
    async def read_chunks(reader):
        body = b''
        while True:
            size = int((await reader.readuntil(b'\r\n')).split(b';')[0], 16)
            chunk = await reader.readexactly(size + 2)
            if size == 0:
                return body
            body += chunk[:-2]

    async def answer(self, request, reader, writer):
        """False: the connection is over."""
        counters = self.counters
        request.name = request.identify()
        access_key, region = request.scope()
        facts = {'service': request.name.split('.')[0], 'operation': request.name.partition('.')[2] or request.name,
                 'account': self.keys.get(access_key, {}).get('account', ''), 'region': region, 'key': access_key}
        port = str(writer.get_extra_info('sockname')[1])
        names = [('total',), ('operations', request.name)]
        counters.begin(names)
        for kind in ('account', 'region', 'key'):
            counters.add(('operations', request.name, kind + 's', facts[kind] or 'none'))
        counters.add(('operations', request.name, 'ports', port))
        entry = {'t': time.monotonic(), 'operation': request.name, **{k: facts[k] for k in ('account', 'region', 'key')},
                 'host': request.header('host'), 'port': int(port), 'user_agent': request.header('user-agent'),
                 'status': None, 'code': None, 'fault': None}
        self.log.append(entry)
        outcome = ('aborted',)
        try:
            keep = await self.answer_with_faults(request, facts, entry, reader, writer)
            outcome = ('ok',) if entry['status'] == 200 else ('errors', entry['code'] or str(entry['status']))
            return keep
        finally:
            counters.end(names, outcome)

    async def answer_with_faults(self, request, facts, entry, reader, writer):
        self.request_id = str(uuid.uuid4())
        entry['request_id'] = self.request_id
        if request.name == 'unknown':
            self.protocol_error(request, f'no such operation: {request.method} {request.path} '
                                         f'{request.header("x-amz-target")}')
            response = Response(404, 'application/json', b'{"__type":"UnknownOperationException"}',
                                code='UnknownOperationException')
            return await self.send(response, entry, writer)
        operation = OPERATIONS[request.name]
        response = self.authenticate(request, operation)
        fault = self.choose_fault(request, facts) if response is None else None
        if response is None and fault is None and self.over_limit(request):
            self.counters.add(('operations', request.name, 'throttled_by_limit'))
            response = self.throttle(operation)
        if response is None:
            response = self.true_answer(request)
        if self.config['latency_ms']:
            await self.unless_gone(reader, asyncio.sleep(self.config['latency_ms'] / 1000))
        if fault is None:
            return await self.send(response, entry, writer)
        entry['fault'] = fault['kind']
        self.counters.add(('operations', request.name, 'faults', fault['kind']))
        return await self.misbehave(fault, operation, response, entry, reader, writer)

    async def send(self, response, entry, writer, keep=True):
        entry['status'], entry['code'] = response.status, response.code
        writer.write(response.encode(keep=keep))
        await writer.drain()
        return keep

    # ---- faults

    def replaced(self, fault, operation, response):
        """The answer of those faults that are answers; None for the others."""
        kind = fault['kind']
        if kind == 'throttle':
            return self.throttle(operation)
        if kind == 'error':
            return self.render_error(operation, fault['code'], fault.get('message', 'made to fail'),
                                     fault.get('status', 400))
        if kind == 'retry_after':
            error = self.render_error(operation, 'ServiceUnavailableException', 'later', 503)
            error.headers.append((fault.get('header', 'Retry-After'), str(fault['seconds'])))
            return error
        if kind == 'redirect':
            return Response(307, 'text/plain', b'', [('Location', fault['location'])], 'redirect')
        bodies = {
            'garbage': lambda: b'\x00\xff\xfe{"Accounts": nope <xml' + bytes(range(256)),
            'empty': lambda: b'',
            'body': lambda: fault['text'].encode(),
            'huge': lambda: huge_body(operation.protocol, fault['bytes']),
            'deep': lambda: deep_body(operation.protocol, fault['depth']),
            'entities': entities_body,
            'truncate': lambda: response.body[:len(response.body) // 2],
        }
        if kind not in bodies:
            return None
        return Response(200, response.content_type, bodies[kind](), [('x-amzn-RequestId', self.request_id)])

    async def misbehave(self, fault, operation, response, entry, reader, writer):
        kind = fault['kind']
        replaced = self.replaced(fault, operation, response)
        if replaced is not None:
            return await self.send(replaced, entry, writer)
        if kind == 'delay':
            await self.unless_gone(reader, asyncio.sleep(fault['ms'] / 1000))
            return await self.send(response, entry, writer)
        if kind == 'hang':
            await self.unless_gone(reader, self.release.wait())
            return await self.send(response, entry, writer)
        entry['code'] = kind
        if kind == 'reset':
            writer.get_extra_info('socket').setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
            writer.transport.abort()
        elif kind == 'garbage_http':
            writer.write(b'\x16\x03\x01 this is not HTTP at all\r\n\r\n\x00\x00')
        elif kind == 'close_early':
            writer.write(response.encode()[:fault.get('after', 0)])
        elif kind == 'wrong_content_length':
            writer.write(response.encode(content_length=len(response.body) + fault.get('delta', 10)))
        elif kind == 'slow':
            await self.unless_gone(reader, self.drip(response.encode(), fault['bytes_per_s'], writer))
            entry['status'], entry['code'] = response.status, response.code
            return True
        if kind != 'reset':
            await writer.drain()
        return False

    @staticmethod
    async def drip(content, bytes_per_s, writer):
        step = max(1, bytes_per_s // 10)
        for at in range(0, len(content), step):
            writer.write(content[at:at + step])
            await writer.drain()
            await asyncio.sleep(step / bytes_per_s)

    @staticmethod
    async def unless_gone(reader, work):
        """Does the work; raises Gone as soon as the client closes (it has nothing to say before it is answered)."""
        work, gone = asyncio.ensure_future(work), asyncio.ensure_future(reader.read(1))
        try:
            await asyncio.wait({work, gone}, return_when=asyncio.FIRST_COMPLETED)
            if not work.done():
                raise Gone()
            await work
        finally:
            work.cancel()
            if not gone.done():
                gone.cancel()
                try:
                    await gone
                except (asyncio.CancelledError, ConnectionError):
                    pass
            elif not gone.cancelled():
                gone.exception()

    # ---- control

    async def control(self, request, writer):
        what = request.path[len('/_control/'):]
        query = dict(urllib.parse.parse_qsl(request.query))
        status, answer = 200, {}
        try:
            content = json.loads(request.body) if request.body else {}
            if what == 'wait':
                status, answer = await self.wait(query)
            else:
                answer = self.control_now(request.method, what, content)
        except (KeyError, ValueError, TypeError) as error:
            status, answer = 400, {'error': f'{type(error).__name__}: {error}'}
        writer.write(Response(status, 'application/json', json.dumps(answer).encode()).encode())
        await writer.drain()

    def control_now(self, method, what, content):
        if (method, what) == ('DELETE', 'faults'):
            self.rules = []
            return {}
        if method == 'GET':
            return {'counters': lambda: {**self.counters.tree, 'signature_failure_list': self.signature_failures,
                                         'protocol_error_list': self.protocol_errors},
                    'log': lambda: self.log, 'config': lambda: self.config,
                    'keys': lambda: self.keys}[what]()
        if what == 'faults':
            self.rules.extend([Rule(spec) for spec in content])
        elif what == 'release':
            self.release.set()
            self.release = asyncio.Event()
        else:
            {'reset': self.reset, 'config': self.change_config, 'keys': self.change_keys}[what](content)
        return {}

    async def wait(self, query):
        path, deadline = tuple(query['path'].split('/')), time.monotonic() + float(query.get('timeout_s', 20))
        counters = self.counters
        while True:
            value, changed = counters.get(path), counters.changed
            if counters is not self.counters:
                return 409, {'error': 'reset meanwhile'}
            if value >= int(query.get('at_least', value)) and value <= int(query.get('at_most', value)):
                return 200, {'value': value}
            try:
                await asyncio.wait_for(changed.wait(), deadline - time.monotonic())
            except asyncio.TimeoutError:
                return 504, {'value': value}


# ---- bodies that a client must survive


def huge_body(protocol, size):
    if protocol == 'query':
        return b'<R><X>' + b'x' * size + b'</X></R>'
    return b'{"X": "' + b'x' * size + b'", "Accounts": [], "Regions": [], "events": [], "Events": [], ' \
        b'"ResourceDescriptions": []}'


def deep_body(protocol, depth):
    if protocol == 'query':
        return b'<R>' + b'<a>' * depth + b'</a>' * depth + b'</R>'
    nested = b'[' * depth + b']' * depth
    return b'{"Accounts": ' + nested + b', "Regions": ' + nested + b', "events": ' + nested + b', "Events": ' + nested \
        + b', "ResourceDescriptions": ' + nested + b'}'


def entities_body():
    levels = ''.join(f'<!ENTITY e{i} "{f"&e{i - 1};" * 10}">' for i in range(1, 10))
    return (f'<!DOCTYPE R [<!ENTITY e0 "lol">{levels}]>'
            f'<GetCallerIdentityResponse xmlns="{services.STS_NAMESPACE}"><GetCallerIdentityResult>'
            '<Account>&e9;</Account></GetCallerIdentityResult></GetCallerIdentityResponse>').encode()


# ---- certificates, and start


def make_certificates(folder):
    """ca.pem; good.pem with the hosts' names, wrong.pem with another; each with its key beside it."""
    def run(*arguments):
        subprocess.run(['openssl', *arguments], cwd=folder, check=True, stdin=subprocess.DEVNULL,
                       stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)

    new_key = ('-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes')
    run('req', '-x509', *new_key, '-keyout', 'ca.key', '-out', 'ca.pem', '-days', '2', '-subj', '/CN=the tests own CA')
    for name, names in (('good', 'IP:127.0.0.1,' + ','.join('DNS:' + host for host in HOST_NAMES)),
                        ('wrong', 'DNS:wrong.example')):
        with open(os.path.join(folder, name + '.ext'), 'w', encoding='ascii') as file:
            file.write(f'subjectAltName={names}\n')
        run('req', *new_key, '-keyout', name + '.key', '-out', name + '.csr', '-subj', f'/CN={name}')
        run('x509', '-req', '-in', name + '.csr', '-CA', 'ca.pem', '-CAkey', 'ca.key', '-CAcreateserial', '-out',
            name + '.pem', '-days', '2', '-extfile', name + '.ext')


def tls_context(folder, name):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(os.path.join(folder, name + '.pem'), os.path.join(folder, name + '.key'))
    context.set_alpn_protocols(['http/1.1'])
    return context


async def main_async(arguments):
    server, answer, listening = Server(), {'ca': None, 'tls_port': None, 'wrong_name_port': None}, []

    async def listen(name, context=None, port=0):
        listener = await asyncio.start_server(server.serve, arguments.bind, port, ssl=context, limit=MAX_HEAD_BYTES,
                                              backlog=512)
        listening.append(listener)
        answer[name] = listener.sockets[0].getsockname()[1]

    await listen('port', port=arguments.port)
    await listen('other_port')
    server.tls = None
    if arguments.tls_dir and shutil.which('openssl'):
        make_certificates(arguments.tls_dir)
        server.tls = tls_context(arguments.tls_dir, 'good')
        answer['ca'] = os.path.join(os.path.abspath(arguments.tls_dir), 'ca.pem')
        await listen('tls_port', server.tls)
        await listen('wrong_name_port', tls_context(arguments.tls_dir, 'wrong'))
    print(json.dumps(answer), flush=True)
    await asyncio.gather(*(listener.serve_forever() for listener in listening))


def main():
    parser = argparse.ArgumentParser(description='An AWS for tests.')
    parser.add_argument('--bind', default='127.0.0.1')
    parser.add_argument('--port', type=int, default=0)
    parser.add_argument('--tls-dir', help='makes certificates there and serves TLS as well')
    arguments = parser.parse_args()
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG: not longer than who started it
    try:
        asyncio.run(main_async(arguments))
    except KeyboardInterrupt:
        pass


if __name__ == '__main__':
    sys.exit(main())
