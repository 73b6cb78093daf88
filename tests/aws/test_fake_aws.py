#!/usr/bin/env python3
"""The fake AWS itself: that it refuses what AWS refuses, answers what AWS answers, and counts right.

Three clients speak to it: one of this file that signs (and signs wrongly on purpose), curl with its own SigV4, and,
where the Python package botocore is installed, AWS' own SDK, which knows every wire format from AWS' own models. The last
line is "N passed, N failed".
"""
import argparse
import concurrent.futures
import http.client
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree

sys.dont_write_bytecode = True

import data
import sigv4
from client import Fake, FakeError
from fake_aws import OWN_ACCESS_KEY, OWN_KEY

TESTS = []
STS = '{https://sts.amazonaws.com/doc/2011-06-15/}'


class Skip(Exception):
    pass


def test(function):
    TESTS.append(function)
    return function


def same(what, found, wanted):
    if found != wanted:
        raise AssertionError(f'{what}: {found!r:.500}, not {wanted!r:.500}')


def true(what, value):
    if not value:
        raise AssertionError(what)


# ---- a client that signs


CALLS = {  # operation: (service, content type, target, path, body)
    'organizations.ListAccounts': ('organizations', 'application/x-amz-json-1.1',
                                   'AWSOrganizationsV20161128.ListAccounts', '/', '{}'),
    'sts.GetCallerIdentity': ('sts', 'application/x-www-form-urlencoded; charset=utf-8', None, '/',
                              'Action=GetCallerIdentity&Version=2011-06-15'),
    'account.ListRegions': ('account', 'application/json', None, '/listRegions', '{}'),
    'cloudcontrol.ListResources': ('cloudcontrolapi', 'application/x-amz-json-1.0', 'CloudApiService.ListResources', '/',
                                   '{"TypeName": "AWS::EC2::Instance"}'),
    'logs.FilterLogEvents': ('logs', 'application/x-amz-json-1.1', 'Logs_20140328.FilterLogEvents', '/',
                             '{"logGroupName": "/app/web"}'),
    'cloudtrail.LookupEvents': ('cloudtrail', 'application/x-amz-json-1.1',
                                'com.amazonaws.cloudtrail.v20131101.CloudTrail_20131101.LookupEvents', '/', '{}'),
}


class Client:
    """One connection. `tamper` (name: change) may change what is signed or sent."""

    def __init__(self, fake, key=(OWN_ACCESS_KEY, OWN_KEY['secret'], None), region='us-east-1', when=None):
        self.fake, self.key, self.region, self.when = fake, key, region, when
        self.connection = http.client.HTTPConnection(fake.bind, fake.port, timeout=30)

    def close(self):
        self.connection.close()

    def headers(self, service, content_type, target, body):
        amz_date = time.strftime('%Y%m%dT%H%M%SZ', time.gmtime(self.when or time.time()))
        headers = [('Host', f'{self.fake.bind}:{self.fake.port}'), ('Content-Type', content_type), ('X-Amz-Date', amz_date)]
        if target:
            headers.append(('X-Amz-Target', target))
        if self.key[2]:
            headers.append(('X-Amz-Security-Token', self.key[2]))
        return headers, amz_date

    def __call__(self, name, body=None, service=None, region=None, tamper=None, path=None):
        own_service, content_type, target, own_path, own_body = CALLS[name]
        body, path, region = body or own_body, path or own_path, region or self.region
        headers, amz_date = self.headers(service or own_service, content_type, target, body)
        signed = sorted(key.lower() for key, _ in headers)
        if tamper in signed:
            signed.remove(tamper)
        scope = f'{amz_date[:8]}/{region}/{service or own_service}/aws4_request'
        canonical = sigv4.canonical_request('POST', path, '', headers, signed, sigv4.sha256_hex(body.encode()))
        mac = sigv4.signature(self.key[1], scope, sigv4.string_to_sign(amz_date, scope, canonical))
        if tamper != 'no authorization':
            headers.append(('Authorization', f'AWS4-HMAC-SHA256 Credential={self.key[0]}/{scope}, '
                                             f'SignedHeaders={";".join(signed)}, Signature={mac}'))
        if tamper == 'body':
            body += ' '
        if tamper == 'no token':
            headers = [pair for pair in headers if pair[0] != 'X-Amz-Security-Token']
        self.connection.putrequest('POST', path, skip_host=True, skip_accept_encoding=True)
        for key, value in [*headers, ('Content-Length', str(len(body.encode())))]:
            self.connection.putheader(key, value)
        self.connection.endheaders(body.encode())
        response = self.connection.getresponse()
        return response.status, response.read(), response.headers


def code_of(name, answer):
    """The error code, from where the service's protocol has it."""
    _, body, headers = answer
    if name.startswith('sts.'):
        return xml.etree.ElementTree.fromstring(body).find(f'{STS}Error/{STS}Code').text
    if name.startswith('account.'):
        return headers['x-amzn-ErrorType'].partition(':')[0]
    return json.loads(body)['__type'].rpartition('#')[2]


# ---- signatures


@test
def the_published_examples_give_the_published_signatures(fake):
    """IAM User Guide, "Create a signed AWS API request" (ListUsers), and the signature test suite's get-vanilla."""
    secret = 'wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY'
    headers = [('Content-Type', 'application/x-www-form-urlencoded; charset=utf-8'), ('Host', 'iam.amazonaws.com'),
               ('X-Amz-Date', '20150830T123600Z')]
    canonical = sigv4.canonical_request('GET', '/', 'Action=ListUsers&Version=2010-05-08', headers,
                                        ['content-type', 'host', 'x-amz-date'], sigv4.sha256_hex(b''))
    same('hash of the canonical request', sigv4.sha256_hex(canonical.encode()),
         'f536975d06c0309214f805bb90ccff089219ecd68b2577efef23edd43b7e1a59')
    scope = '20150830/us-east-1/iam/aws4_request'
    same('key', sigv4.signing_key(secret, '20150830', 'us-east-1', 'iam').hex(),
         'c4afb1cc5771d871763a393e44b703571b55cc28424d1a5e86da6ed3c154a4b9')
    same('signature', sigv4.signature(secret, scope, sigv4.string_to_sign('20150830T123600Z', scope, canonical)),
         '5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7')
    headers = [('Host', 'example.amazonaws.com'), ('X-Amz-Date', '20150830T123600Z')]
    scope = '20150830/us-east-1/service/aws4_request'
    canonical = sigv4.canonical_request('GET', '/', '', headers, ['host', 'x-amz-date'], sigv4.sha256_hex(b''))
    same('get-vanilla', sigv4.signature(secret, scope, sigv4.string_to_sign('20150830T123600Z', scope, canonical)),
         '5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31')


@test
def paths_and_queries_are_canonical(fake):
    same('path', sigv4.canonical_uri('/a%20b/./c/../d/'), '/a%2520b/d/')
    same('root', sigv4.canonical_uri('/'), '/')
    same('query', sigv4.canonical_query('Param2=value2&Param1=b&Param1=a&x=~%2F+&flag'),
         'Param1=a&Param1=b&Param2=value2&flag=&x=~%2F%2B')


@test
def every_operation_takes_a_right_signature(fake):
    for name in CALLS:
        client = Client(fake)
        same(name, client(name)[0], 200)
        client.close()
    same('failures', fake.count('signature_failures'), 0)
    same('protocol errors', fake.count('protocol_errors'), 0)


def refusal(fake, name, code_json, code_query, kind, client=None, **how):
    before = fake.count('signature_failures')
    client = client or Client(fake)
    answer = client(name, **how)
    client.close()
    true(f'{name}: status {answer[0]}', answer[0] in (400, 403))
    same(name, code_of(name, answer), code_query if name.startswith('sts.') else code_json)
    same('failures', fake.count('signature_failures'), before + 1)
    same('kind', fake.counters()['signature_failure_list'][-1]['kind'], kind)


MISMATCH = ('InvalidSignatureException', 'SignatureDoesNotMatch')


@test
def what_was_changed_after_signing_is_refused_in_the_services_own_format(fake):
    for name in CALLS:
        refusal(fake, name, *MISMATCH, 'mismatch', tamper='body')
        refusal(fake, name, *MISMATCH, 'mismatch', client=Client(fake, key=(OWN_ACCESS_KEY, 'another secret', None)))
        refusal(fake, name, 'MissingAuthenticationTokenException', 'MissingAuthenticationToken', 'missing',
                tamper='no authorization')


@test
def headers_that_must_be_signed_are(fake):
    for header in ('host', 'content-type', 'x-amz-date', 'x-amz-target'):
        refusal(fake, 'logs.FilterLogEvents', *MISMATCH, 'mismatch', tamper=header)


@test
def the_scope_must_fit_the_operation(fake):
    for name in CALLS:
        refusal(fake, name, *MISMATCH, 'scope', service='s3')
    for name in ('organizations.ListAccounts', 'account.ListRegions'):
        refusal(fake, name, *MISMATCH, 'scope', region='eu-west-1')
        client = Client(fake)
        same('China', client(name, region='cn-northwest-1')[0], 200)
        same('GovCloud', client(name, region='us-gov-west-1')[0], 200)
        client.close()


@test
def the_time_must_be_within_five_minutes(fake):
    for off in (-310, 310):
        refusal(fake, 'logs.FilterLogEvents', *MISMATCH, 'skewed', client=Client(fake, when=time.time() + off))
    client = Client(fake, when=time.time() - 200)
    same('200 s off', client('logs.FilterLogEvents')[0], 200)
    fake.config(clock_skew_s=3600)
    refusal(fake, 'sts.GetCallerIdentity', *MISMATCH, 'skewed')
    client.close()


@test
def keys_that_are_unknown_revoked_or_expired_are_refused(fake):
    unknown = ('UnrecognizedClientException', 'InvalidClientTokenId', 'unknown_key')
    refusal(fake, 'account.ListRegions', *unknown, client=Client(fake, key=('AKIANOBODY', 'x', None)))
    fake.keys(ASIATEMP={'secret': 's', 'token': 'tok/en+=', 'expires_at': time.time() + 600})
    good = ('ASIATEMP', 's', 'tok/en+=')
    client = Client(fake, key=good)
    same('with its token', client('account.ListRegions')[0], 200)
    client.close()
    refusal(fake, 'sts.GetCallerIdentity', *unknown, client=Client(fake, key=('ASIATEMP', 's', None)))
    refusal(fake, 'sts.GetCallerIdentity', *unknown, client=Client(fake, key=('ASIATEMP', 's', 'other')))
    refusal(fake, 'account.ListRegions', *MISMATCH, 'mismatch', client=Client(fake, key=good),
            tamper='x-amz-security-token')
    fake.keys(ASIATEMP={'expires_at': time.time() - 1})
    for name in CALLS:
        refusal(fake, name, 'ExpiredTokenException', 'ExpiredToken', 'expired', client=Client(fake, key=good))
    fake.keys(**{OWN_ACCESS_KEY: {'revoked': True}})
    refusal(fake, 'cloudtrail.LookupEvents', *unknown)


# ---- curl


def curl(fake, name, key, *more, body=None, region='us-east-1', url=None):
    service, content_type, target, path, own_body = CALLS[name]
    arguments = ['curl', '-sS', '--max-time', '20', '--aws-sigv4', f'aws:amz:{region}:{service}', '--user',
                 f'{key[0]}:{key[1]}', '-H', f'Content-Type: {content_type}', '-d', body or own_body,
                 '-w', '\n%{http_code}']
    if target:
        arguments += ['-H', f'X-Amz-Target: {target}']
    if key[2]:
        arguments += ['-H', f'X-Amz-Security-Token: {key[2]}']
    # The environment may name a proxy.
    environment = {'PATH': os.environ['PATH']}
    done = subprocess.run([*arguments, *more, (url or fake.url) + path], stdin=subprocess.DEVNULL, capture_output=True,
                          text=True, timeout=30, env=environment)
    if done.returncode:
        raise AssertionError(f'curl: {done.returncode} {done.stderr}')
    answer, _, status = done.stdout.rpartition('\n')
    return int(status), answer


def need_curl():
    if not shutil.which('curl') or '--aws-sigv4' not in subprocess.run(
            ['curl', '--help', 'all'], capture_output=True, text=True, timeout=20).stdout:
        raise Skip('no curl with --aws-sigv4')


@test
def curl_signs_every_operation(fake):
    need_curl()
    fake.keys(ASIATEMP={'secret': 's+/=', 'token': 'tok/en+=', 'expires_at': time.time() + 600})
    for key in ((OWN_ACCESS_KEY, OWN_KEY['secret'], None), ('ASIATEMP', 's+/=', 'tok/en+=')):
        for name in CALLS:
            status, body = curl(fake, name, key)
            same(f'{name}: {body[:300]} {fake.counters()["signature_failure_list"]}', status, 200)
    status, body = curl(fake, 'sts.GetCallerIdentity', (OWN_ACCESS_KEY, 'wrong', None))
    same('a wrong secret', (status, 'SignatureDoesNotMatch' in body), (403, True))


@test
def curl_verifies_the_certificates(fake):
    need_curl()
    if not fake.tls_port:
        raise Skip('no openssl command')
    key = (OWN_ACCESS_KEY, OWN_KEY['secret'], None)
    url = f'https://127.0.0.1:{fake.tls_port}'
    same('with the CA', curl(fake, 'account.ListRegions', key, '--cacert', fake.ca, url=url)[0], 200)
    for what, more, where in (('without', [], url), ('another name', ['--cacert', fake.ca],
                                                     f'https://127.0.0.1:{fake.wrong_name_port}')):
        try:
            curl(fake, 'account.ListRegions', key, *more, url=where)
        except AssertionError as error:
            true(f'{what}: {error}', 'curl: 60' in str(error))
        else:
            raise AssertionError(f'{what}: taken')
    # The real hosts, through the proxy.
    status, _ = curl(fake, 'sts.GetCallerIdentity', key, '--cacert', fake.ca, '--proxy', fake.url, region='eu-west-1',
                     url='https://sts.eu-west-1.amazonaws.com')
    same('by CONNECT', status, 200)
    same('asked for', fake.count('proxy'), {'sts.eu-west-1.amazonaws.com:443': 1})
    same('host', fake.log()[-1]['host'], 'sts.eu-west-1.amazonaws.com')


# ---- AWS' own SDK


def sdk(fake, service, key=(OWN_ACCESS_KEY, OWN_KEY['secret'], None), region='us-east-1', attempts=1):
    try:
        import botocore.config
        import botocore.session
    except ImportError:
        raise Skip('no botocore') from None
    session = botocore.session.Session()
    return session.create_client(
        service, region_name=region, endpoint_url=fake.url, aws_access_key_id=key[0], aws_secret_access_key=key[1],
        aws_session_token=key[2], config=botocore.config.Config(
            retries={'total_max_attempts': attempts, 'mode': 'standard'}, proxies={}, read_timeout=10))


def all_pages(client, operation, what, **how):
    return [item for page in client.get_paginator(operation).paginate(**how) for item in page[what]]


@test
def botocore_reads_every_page_of_every_operation(fake):
    fake.reset(accounts=45, regions=12, resources=230, log_events=30, log_page=7, log_empty_pages=2, trail_events=120)
    accounts = all_pages(sdk(fake, 'organizations'), 'list_accounts', 'Accounts')
    same('accounts', [(a['Id'], a['Name'], a['Email']) for a in accounts],
         [(a['Id'], a['Name'], a['Email']) for a in map(data.account, range(45))])
    regions = all_pages(sdk(fake, 'account'), 'list_regions', 'Regions')
    same('regions', regions, [data.region(i) for i in range(12)])
    resources = all_pages(sdk(fake, 'cloudcontrol', region='eu-west-1'), 'list_resources', 'ResourceDescriptions',
                          TypeName='AWS::EC2::Instance')
    same('resources', resources, [data.resource(data.OWN_ACCOUNT, 'eu-west-1', 'AWS::EC2::Instance', i)
                                  for i in range(230)])
    events = all_pages(sdk(fake, 'logs'), 'filter_log_events', 'events', logGroupName='/app/web', filterPattern='ERROR',
                       startTime=data.LOG_START_MS + 5000, endTime=data.LOG_START_MS + 24_000)
    same('log events', events, [data.log_event(data.OWN_ACCOUNT, 'us-east-1', '/app/web', i) for i in range(6, 25, 3)])
    trail = all_pages(sdk(fake, 'cloudtrail'), 'lookup_events', 'Events', StartTime=data.TRAIL_START_S + 10,
                      LookupAttributes=[{'AttributeKey': 'EventName', 'AttributeValue': 'ConsoleLogin'}])
    wanted = [data.trail_event(data.OWN_ACCOUNT, 'us-east-1', 120, i) for i in range(110)]
    wanted = [event for event in wanted if event['EventName'] == 'ConsoleLogin']
    same('trail events', [(e['EventId'], e['EventTime'].timestamp(), e['CloudTrailEvent']) for e in trail],
         [(e['EventId'], e['EventTime'], e['CloudTrailEvent']) for e in wanted])
    same('failures', (fake.count('signature_failures'), fake.count('protocol_errors')), (0, 0))


@test
def botocore_assumes_roles_and_sees_the_other_account(fake):
    sts = sdk(fake, 'sts', region='eu-west-1')
    same('own', sts.get_caller_identity()['Account'], data.OWN_ACCOUNT)
    found = sts.assume_role(RoleArn='arn:aws:iam::444400000007:role/isoq-reader', RoleSessionName='s-1')['Credentials']
    key = (found['AccessKeyId'], found['SecretAccessKey'], found['SessionToken'])
    true('expiry', 3500 < found['Expiration'].timestamp() - time.time() <= 3600)
    same('other', sdk(fake, 'sts', key).get_caller_identity()['Account'], '444400000007')
    resources = all_pages(sdk(fake, 'cloudcontrol', key), 'list_resources', 'ResourceDescriptions',
                          TypeName='AWS::S3::Bucket')
    same('their owner', json.loads(resources[0]['Properties'])['OwnerId'], '444400000007')
    found = sts.assume_role_with_web_identity(RoleArn=f'arn:aws:iam::{data.OWN_ACCOUNT}:role/pod', RoleSessionName='pod-1',
                                              WebIdentityToken='web-identity-token')['Credentials']
    key = (found['AccessKeyId'], found['SecretAccessKey'], found['SessionToken'])
    same('pod', sdk(fake, 'sts', key).get_caller_identity()['Arn'],
         f'arn:aws:sts::{data.OWN_ACCOUNT}:assumed-role/pod/pod-1')
    for arn in ('arn:aws:iam::444400000007:role/unknown', 'arn:aws:iam::acct:role/isoq-reader'):
        expect_sdk_error('AccessDenied' if 'unknown' in arn else 'ValidationError',
                         lambda arn=arn: sts.assume_role(RoleArn=arn, RoleSessionName='s-1'))


def expect_sdk_error(code, call, status=None):
    import botocore.exceptions
    try:
        call()
    except botocore.exceptions.ClientError as error:
        same('code', error.response['Error']['Code'], code)
        true('a request id', error.response['ResponseMetadata']['RequestId'])
        if status is not None:
            same('status', error.response['ResponseMetadata']['HTTPStatusCode'], status)
        return
    raise AssertionError(f'no {code}')


@test
def botocore_reads_every_error_format(fake):
    calls = {'organizations': lambda: sdk(fake, 'organizations').list_accounts(),
             'sts': lambda: sdk(fake, 'sts').get_caller_identity(),
             'account': lambda: sdk(fake, 'account').list_regions(),
             'cloudcontrol': lambda: sdk(fake, 'cloudcontrol').list_resources(TypeName='AWS::S3::Bucket'),
             'logs': lambda: sdk(fake, 'logs').filter_log_events(logGroupName='/app/web'),
             'cloudtrail': lambda: sdk(fake, 'cloudtrail').lookup_events()}
    for service, call in calls.items():
        fake.no_faults()
        fake.fault({'kind': 'error', 'code': 'AccessDeniedException', 'status': 403}, service=service)
        expect_sdk_error('AccessDeniedException', call, 403)
        fake.no_faults()
        fake.fault('throttle', service=service)
        throttles = {'organizations': 'TooManyRequestsException', 'account': 'TooManyRequestsException',
                     'sts': 'Throttling'}
        expect_sdk_error(throttles.get(service, 'ThrottlingException'), call)
    fake.no_faults()
    expect_sdk_error('ResourceNotFoundException', lambda: sdk(fake, 'logs').filter_log_events(logGroupName='/none'))
    expect_sdk_error('TypeNotFoundException', lambda: sdk(fake, 'cloudcontrol').list_resources(TypeName='AWS::No::Thing'))
    fake.config(organization='denied')
    expect_sdk_error('AccessDeniedException', calls['organizations'])
    fake.config(organization='none')
    expect_sdk_error('AWSOrganizationsNotInUseException', calls['organizations'])


@test
def botocore_retries_what_is_throttled(fake):
    fake.fault('throttle', operation='LookupEvents', nth=[1, 2])
    true('an answer', sdk(fake, 'cloudtrail', attempts=3).lookup_events()['Events'])
    same('requests', fake.count('operations/cloudtrail.LookupEvents/requests'), 3)
    same('codes', [entry['code'] for entry in fake.log()], ['ThrottlingException'] * 2 + [None])


@test
def botocore_finds_credentials_of_machines_and_containers(fake):
    sdk(fake, 'sts')
    fake.config(container={'authorization': 'Bearer abc', 'ttl_s': 1000}, imds={'ttl_s': 1000})
    base = {'PATH': os.environ['PATH'], 'HOME': '/nonexistent', 'AWS_DEFAULT_REGION': 'us-east-1',
            'PYTHONPATH': os.pathsep.join(sys.path)}
    code = ('import botocore.session as s; c = s.Session().create_client("sts", endpoint_url="%s"); '
            'print(c.get_caller_identity()["Arn"])' % fake.url)
    for environment, role in (
            ({'AWS_CONTAINER_CREDENTIALS_FULL_URI': fake.url + '/v2/credentials/x',
              'AWS_CONTAINER_AUTHORIZATION_TOKEN': 'Bearer abc'}, 'task'),
            ({'AWS_EC2_METADATA_SERVICE_ENDPOINT': fake.url}, 'machine-role')):
        done = subprocess.run([sys.executable, '-c', code], env={**base, **environment}, capture_output=True, text=True,
                              timeout=60)
        true(f'{role}: {done.stderr[-500:]}', f':assumed-role/{role}/' in done.stdout)
    same('v1', fake.count('imds/v1_refused'), 0)
    same('token', fake.count('operations/imds.GetToken/ok'), 1)


# ---- metadata


def plain(fake, method, path, headers=None):
    connection = http.client.HTTPConnection(fake.bind, fake.port, timeout=20)
    connection.request(method, path, headers=headers or {})
    response = connection.getresponse()
    body = response.read().decode()
    connection.close()
    return response.status, body


@test
def metadata_wants_a_token(fake):
    base = '/latest/meta-data/iam/security-credentials/'
    same('v1', plain(fake, 'GET', base)[0], 401)
    same('counted', fake.count('imds/v1_refused'), 1)
    same('no TTL', plain(fake, 'PUT', '/latest/api/token')[0], 400)
    status, token = plain(fake, 'PUT', '/latest/api/token', {'X-aws-ec2-metadata-token-ttl-seconds': '60'})
    same('token', status, 200)
    with_token = {'X-aws-ec2-metadata-token': token}
    same('role', plain(fake, 'GET', base, with_token), (200, 'machine-role'))
    first = json.loads(plain(fake, 'GET', base + 'machine-role', with_token)[1])
    same('kept', json.loads(plain(fake, 'GET', base + 'machine-role', with_token)[1])['AccessKeyId'], first['AccessKeyId'])
    fake.config(imds={'rotate_at': 1.1})
    true('rotated', json.loads(plain(fake, 'GET', base + 'machine-role', with_token)[1])['AccessKeyId']
         != first['AccessKeyId'])
    same('another role', plain(fake, 'GET', base + 'other', with_token)[0], 404)
    client = Client(fake, key=(first['AccessKeyId'], first['SecretAccessKey'], first['Token']))
    same('they sign', client('sts.GetCallerIdentity')[0], 200)
    client.close()


@test
def container_credentials_want_their_token(fake):
    fake.config(container={'authorization': 'secret-token'})
    same('without', plain(fake, 'GET', '/v2/credentials/1')[0], 401)
    status, body = plain(fake, 'GET', '/v2/credentials/1', {'Authorization': 'secret-token'})
    same('with', (status, sorted(json.loads(body))), (200, ['AccessKeyId', 'Expiration', 'RoleArn', 'SecretAccessKey',
                                                           'Token']))
    same('counted', fake.count('container/unauthorized'), 1)


# ---- pages


@test
def page_tokens_belong_to_their_request(fake):
    client = Client(fake)
    first = json.loads(client('organizations.ListAccounts')[1])
    for name, member in (('cloudtrail.LookupEvents', 'NextToken'), ('logs.FilterLogEvents', 'nextToken')):
        body = json.dumps({member: first['NextToken'], **json.loads(CALLS[name][4])})
        same(name, client(name, body)[0], 400)
    resources = json.loads(client('cloudcontrol.ListResources')[1])
    body = json.dumps({'TypeName': 'AWS::S3::Bucket', 'NextToken': resources['NextToken']})
    same('another type', client('cloudcontrol.ListResources', body)[0], 400)
    body = json.dumps({'TypeName': 'AWS::EC2::Instance', 'NextToken': resources['NextToken']})
    same('another region', client('cloudcontrol.ListResources', body, region='eu-west-1')[0], 400)
    same('the same', client('cloudcontrol.ListResources', body)[0], 200)
    client.close()


@test
def what_no_api_takes_is_a_protocol_error(fake):
    client = Client(fake)
    for name, body in (('logs.FilterLogEvents', '{"logGroupName": "/app/web", "startTime": "2024-01-01"}'),
                       ('cloudtrail.LookupEvents', '{"startTime": 1}'), ('organizations.ListAccounts', '[]'),
                       ('account.ListRegions', '{')):
        same(name, client(name, body)[0], 400)
    same('counted', fake.count('protocol_errors'), 4)
    same('milliseconds', code_of('x', client('cloudtrail.LookupEvents', '{"StartTime": 1700000000000}')),
         'InvalidTimeRangeException')
    client.close()


# ---- faults


def outcome(fake, name='organizations.ListAccounts'):
    """(status, body) or the name of the exception."""
    client = Client(fake)
    try:
        return client(name)[:2]
    except (http.client.HTTPException, OSError) as error:
        return type(error).__name__
    finally:
        client.close()


@test
def faults_do_what_they_say(fake):
    whole = outcome(fake)[1]
    for do, wanted in (
            ('reset', 'ConnectionResetError'), ('garbage_http', 'BadStatusLine'),
            ({'kind': 'close_early', 'after': 0}, 'RemoteDisconnected'),
            ({'kind': 'close_early', 'after': 400}, 'IncompleteRead'),
            ({'kind': 'wrong_content_length', 'delta': 5}, 'IncompleteRead'),
            ('empty', (200, b'')), ('truncate', (200, whole[:len(whole) // 2])),
            ({'kind': 'body', 'text': '{"Accounts": 5}'}, (200, b'{"Accounts": 5}')),
            ({'kind': 'delay', 'ms': 10}, (200, whole)), ({'kind': 'slow', 'bytes_per_s': 100000}, (200, whole))):
        fake.no_faults()
        fake.fault(do)
        same(do, outcome(fake), wanted)
    for do, check in (('garbage', lambda status, body: status == 200 and body.startswith(b'\x00')),
                      ({'kind': 'huge', 'bytes': 100000}, lambda status, body: len(json.loads(body)['X']) == 100000),
                      ({'kind': 'deep', 'depth': 5000}, lambda status, body: b'[' * 5000 in body),
                      ({'kind': 'retry_after', 'seconds': 3}, lambda status, body: status == 503),
                      ({'kind': 'redirect', 'location': 'http://127.0.0.1:1/'}, lambda status, body: status == 307)):
        fake.no_faults()
        fake.fault(do)
        true(do, check(*outcome(fake)))
    fake.no_faults()
    fake.fault({'kind': 'deep', 'depth': 50}, service='sts')
    xml.etree.ElementTree.fromstring(outcome(fake, 'sts.GetCallerIdentity')[1])


@test
def rules_choose_by_number_and_chance(fake):
    fake.fault('throttle', operation='ListAccounts', nth=2)
    fake.fault('throttle', operation='ListRegions', every=3)
    fake.fault('throttle', operation='LookupEvents', probability=0.5, seed=7)
    fake.fault('throttle', operation='FilterLogEvents', times=1)

    def statuses(name, count):
        return [outcome(fake, name)[0] for _ in range(count)]

    same('nth', statuses('organizations.ListAccounts', 3), [200, 400, 200])
    same('every', statuses('account.ListRegions', 6), [200, 200, 429] * 2)
    same('times', statuses('logs.FilterLogEvents', 2), [400, 200])
    chance = statuses('cloudtrail.LookupEvents', 20)
    true(f'chance: {chance}', 4 <= chance.count(400) <= 16)
    fake.no_faults()
    fake.fault('throttle', region='eu-west-1')
    same('another region', outcome(fake, 'logs.FilterLogEvents')[0], 200)
    client = Client(fake, region='eu-west-1')
    same('that region', client('logs.FilterLogEvents')[0], 400)
    client.close()
    try:
        fake.fault('explode')
    except FakeError:
        return
    raise AssertionError('an unknown kind is taken')


@test
def who_hangs_can_be_released_or_go(fake):
    fake.fault('hang', operation='ListAccounts')
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        future = pool.submit(outcome, fake)
        fake.wait('operations/organizations.ListAccounts/in_flight', at_least=1)
        fake.release()
        same('released', future.result(20)[0], 200)
    with socket.create_connection((fake.bind, fake.port)) as raw:
        client = Client(fake)
        client.connection.sock = raw
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            pool.submit(outcome_on, client)
            fake.wait('operations/organizations.ListAccounts/requests', at_least=2)
            raw.shutdown(socket.SHUT_RDWR)
            same('aborted', fake.wait('operations/organizations.ListAccounts/aborted', at_least=1), 1)
    fake.wait('operations/organizations.ListAccounts/in_flight', at_most=0)


def outcome_on(client):
    try:
        client('organizations.ListAccounts')
    except (http.client.HTTPException, OSError):
        pass


# ---- limits and counts


@test
def the_limit_of_requests_a_second_throttles(fake):
    fake.config(limits={'cloudtrail.LookupEvents': {'per_s': 2}})
    client = Client(fake)
    statuses = [client('cloudtrail.LookupEvents')[0] for _ in range(10)]
    client.close()
    same('first', statuses[:2], [200, 200])
    true(f'throttled: {statuses}', statuses.count(400) >= 5)
    same('counted', fake.count('operations/cloudtrail.LookupEvents/throttled_by_limit'), statuses.count(400))
    other = Client(fake, region='eu-west-1')
    same('another region', other('cloudtrail.LookupEvents')[0], 200)
    other.close()
    true('per second', fake.count('operations/cloudtrail.LookupEvents/max_per_second') >= 8)


@test
def counts_tell_connections_reuse_and_concurrency(fake):
    client = Client(fake)
    for _ in range(5):
        client('account.ListRegions')
    client.close()
    found = fake.counters()
    same('requests', found['operations']['account.ListRegions']['ok'], 5)
    same('reused', found['connections']['reused'], 4)
    same('key', found['operations']['account.ListRegions']['keys'], {OWN_ACCESS_KEY: 5})
    fake.fault('hang', operation='LookupEvents')
    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        futures = [pool.submit(outcome, fake, 'cloudtrail.LookupEvents') for _ in range(6)]
        fake.wait('operations/cloudtrail.LookupEvents/in_flight', at_least=6)
        fake.release()
        same('answers', {future.result(20)[0] for future in futures}, {200})
    same('peak', fake.count('operations/cloudtrail.LookupEvents/peak_in_flight'), 6)
    log = fake.log()
    same('log', (len(log), log[0]['operation'], log[0]['region'], log[0]['status']),
         (11, 'account.ListRegions', 'us-east-1', 200))
    try:
        fake.wait('operations/none/requests', at_least=1, timeout_s=0.05)
    except FakeError as error:
        true(error, '504' in str(error))
    else:
        raise AssertionError('what never happens was waited for')


def run_one(function, fake):
    fake.reset()
    try:
        function(fake)
    except Skip as reason:
        print(f'skipped {function.__name__}: {reason}', flush=True)
        return None
    except Exception as error:  # whatever it is, the others run
        print(f'FAILED {function.__name__}: {type(error).__name__}: {error}', flush=True)
        return False
    print(f'ok {function.__name__}', flush=True)
    return True


def main():
    parser = argparse.ArgumentParser(description='Tests of the fake AWS.')
    parser.add_argument('--only', help='a test, or part of its name')
    arguments = parser.parse_args()
    folder, results, fake = tempfile.mkdtemp(prefix='isoq-fake-aws-'), [], None
    try:
        fake = Fake(folder)
        results = [run_one(function, fake) for function in TESTS
                   if not arguments.only or arguments.only in function.__name__]
    finally:
        if fake is not None:
            fake.end()
        shutil.rmtree(folder, ignore_errors=True)
    print(f'{results.count(True)} passed, {results.count(False)} failed, {results.count(None)} skipped', flush=True)
    return 1 if False in results or not results else 0


if __name__ == '__main__':
    sys.exit(main())
