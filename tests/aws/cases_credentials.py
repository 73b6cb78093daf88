"""Where credentials come from, one source a case; how they are kept, refreshed, and used for other accounts.

The organization says no, so that listAccounts() asks STS who it is: the fake AWS then tells which key was used."""
import json
import os
import shlex
import shutil
import subprocess
import sys

import data
from fake_aws import OWN_ACCESS_KEY, OWN_KEY
from setting import Skip, case, holds, requests, resource_objects, same, true

WHO = 'const r = await listAccounts(); r.map((a) => a.id)'
RESOURCES = "queryResources({resourceType: 'AWS::EC2::Instance', limit: 3%s})"
OTHER = '444400000007'
STS = 'sts.GetCallerIdentity'
TEMPORARY = {'ASIATEMPORARY': {'secret': 'temporary/secret+', 'token': 'temporary//token+=='}}
SECOND = {'AKIASECONDKEY': {'secret': 'second+secret/', 'arn': f'arn:aws:iam::{data.OWN_ACCOUNT}:user/second'}}


def who(s, environment, key=None, **how):
    """The key that STS saw, when it was one alone."""
    s.fake.config(organization='denied')
    same('account', s.value(WHO, environment=environment, **how), [data.OWN_ACCOUNT])
    keys = list(s.fake.count(f'operations/{STS}/keys'))
    same('keys', len(keys), 1)
    if key is not None:
        same('key', keys[0], key)
    return keys[0]


def role_of(s, key):
    return s.fake.ask('GET', 'keys')[key]['arn'].split('/', 1)[1]


def complains(s, environment, *parts):
    """At start, with exit status 2, or when a call needs it: said it must be."""
    running = s.start('const r = await attempt(() => listRegions()); r', environment=environment)
    out, err = running.process.communicate(timeout=60)
    if out:
        same('the call', (json.loads(json.loads(out)['result']) or {}).get('name'), 'CredentialsError')
    else:
        same(f'exit status; {err}', running.process.returncode, 2)
    holds('said', out + err, *parts)


def static(access_key, key):
    token = f'aws_session_token={key["token"]}\n' if key.get('token') else ''
    return f'aws_access_key_id = {access_key}\naws_secret_access_key={key["secret"]}\n{token}'


# ---- sources


@case
def credentials_environment(s):
    who(s, s.environment(), OWN_ACCESS_KEY)


@case
def credentials_environment_with_session_token(s):
    s.fake.keys(**TEMPORARY)
    key = TEMPORARY['ASIATEMPORARY']
    who(s, s.bare_environment(AWS_ACCESS_KEY_ID='ASIATEMPORARY', AWS_SECRET_ACCESS_KEY=key['secret'],
                              AWS_SESSION_TOKEN=key['token']), 'ASIATEMPORARY')


@case
def credentials_profile_static(s):
    s.fake.keys(**SECOND, **TEMPORARY)
    s.file('.aws/credentials', f'# comment\n[default]\n{static(OWN_ACCESS_KEY, OWN_KEY)}\n[second]\n'
                               f'{static("AKIASECONDKEY", SECOND["AKIASECONDKEY"])}')
    s.file('.aws/config', f'[profile temp]\n{static("ASIATEMPORARY", TEMPORARY["ASIATEMPORARY"])}')
    for profile, key in ((None, OWN_ACCESS_KEY), ('second', 'AKIASECONDKEY'), ('temp', 'ASIATEMPORARY')):
        s.fake.reset(keys={**SECOND, **TEMPORARY})
        who(s, s.bare_environment(AWS_PROFILE=profile), key)


@case
def credentials_files_at_other_places(s):
    s.fake.keys(**SECOND)
    credentials = s.file('elsewhere/c', f'[x]\n{static("AKIASECONDKEY", SECOND["AKIASECONDKEY"])}')
    config = s.file('elsewhere/d', f'[profile y]\nrole_arn = arn:aws:iam::{data.OWN_ACCOUNT}:role/isoq-reader\n'
                                   'source_profile = x\n')
    environment = s.bare_environment(AWS_SHARED_CREDENTIALS_FILE=credentials, AWS_CONFIG_FILE=config, AWS_PROFILE='y')
    true('role', role_of(s, who(s, environment)).startswith('isoq-reader/'))


@case
def credentials_role_arn_and_source_profile(s):
    s.fake.config(roles={'guarded': {'external_id': 'ext-1'}, 'far': {}})
    s.file('.aws/credentials', f'[base]\n{static(OWN_ACCESS_KEY, OWN_KEY)}')
    s.file('.aws/config', f'''[profile near]
role_arn = arn:aws:iam::{data.OWN_ACCOUNT}:role/guarded
source_profile = base
external_id = ext-1
role_session_name = my-session
[profile chain]
role_arn = arn:aws:iam::{OTHER}:role/far
source_profile = near
''')
    same('session', role_of(s, who(s, s.bare_environment(AWS_PROFILE='near'))), 'guarded/my-session')
    s.fake.config(organization='denied')
    same('account', s.value(WHO, environment=s.bare_environment(AWS_PROFILE='chain')), [OTHER])


@case
def credentials_process(s):
    s.fake.keys(**TEMPORARY)
    key = TEMPORARY['ASIATEMPORARY']
    answer = json.dumps({'Version': 1, 'AccessKeyId': 'ASIATEMPORARY', 'SecretAccessKey': key['secret'],
                         'SessionToken': key['token'], 'Expiration': '2099-01-01T00:00:00Z'})
    program = s.file('get credentials', f'#!{sys.executable}\nimport sys\nassert sys.argv[1:] == ["a b", "c"]\n'
                                        f'sys.stderr.write("chatter")\nprint({answer!r})\n', 0o700)
    s.file('.aws/config', f'[default]\ncredential_process = "{program}" "a b" c\n')
    who(s, s.bare_environment(), 'ASIATEMPORARY')


@case
def credentials_process_that_fails(s):
    secret = 'printed/by-mistake'
    for name, code, part in (('exit', 'print("boom", file=sys.stderr); sys.exit(7)', '7'),
                             ('garbage', f'print("{secret}")', 'credential_process'),
                             ('incomplete', f'print(\'{{"Version": 1, "SecretAccessKey": "{secret}"}}\')', 'AccessKeyId'),
                             ('version', 'print(\'{"Version": 2}\')', 'Version')):
        program = s.file(name, f'#!{sys.executable}\nimport sys\n{code}\n', 0o700)
        s.file('.aws/config', f'[default]\ncredential_process = {shlex.quote(program)}\n')
        found = s.rejection('listRegions()', environment=s.bare_environment())
        same(name, found['name'], 'CredentialsError')
        holds(name, found['message'], part)
        true(f'{name}: {found}', secret not in json.dumps(found))


@case
def credentials_process_that_hangs(s):
    """It is ended with the call, and holds nobody up meanwhile."""
    program = s.file('hang', f'#!{sys.executable}\nimport os, time\nopen({os.path.join(s.home, "pid")!r}, "w")'
                             '.write(str(os.getpid()))\ntime.sleep(600)\n', 0o700)
    s.file('.aws/config', f'[default]\ncredential_process = {program}\n')
    found = s.value('''const busy = async () => {
        for (let i = 0; i < 20; i++) await new Promise((done) => setTimeout(done, 5));
        return 'went on';
      };
      const [a, b] = await Promise.all([attempt(() => listRegions()), attempt(busy)]);
      [a.name, b.resolved]''', environment=s.bare_environment(), call_timeout_ms=3000)
    true(f'{found}', found[0] in ('TimeoutError', 'CredentialsError') and found[1] == 'went on')
    with open(os.path.join(s.home, 'pid'), encoding='ascii') as file:
        pid = int(file.read())
    import rig as rigs
    rigs.until('the process ends', lambda: (rigs.stat_fields(pid) or [b'Z'])[0] == b'Z')


@case
def credentials_web_identity(s):
    token = s.file('token', 'web-identity-token')
    arn = f'arn:aws:iam::{data.OWN_ACCOUNT}:role/pod'
    environment = s.bare_environment(AWS_WEB_IDENTITY_TOKEN_FILE=token, AWS_ROLE_ARN=arn, AWS_ROLE_SESSION_NAME='pod-7')
    same('role', role_of(s, who(s, environment)), 'pod/pod-7')
    s.fake.reset()
    s.file('.aws/config', f'[default]\nrole_arn = {arn}\nweb_identity_token_file = {token}\n')
    true('by the profile', role_of(s, who(s, s.bare_environment())).startswith('pod/'))
    s.fake.config(web_identity_token='another')
    found = s.rejection('listRegions()', environment=environment)
    holds('message', found['name'] + found['message'], 'InvalidIdentityToken')


@case
def credentials_container(s):
    url = s.fake.url + '/v2/credentials/task-1'
    s.fake.config(container={'authorization': 'Bearer abc'})
    environment = s.bare_environment(AWS_CONTAINER_CREDENTIALS_FULL_URI=url, AWS_CONTAINER_AUTHORIZATION_TOKEN='Bearer abc')
    true('by variable', role_of(s, who(s, environment)).startswith('task/'))
    s.fake.reset(container={'authorization': 'Bearer from-file'})
    token = s.file('auth', 'Bearer from-file\n')
    environment = s.bare_environment(AWS_CONTAINER_CREDENTIALS_FULL_URI=url, AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE=token)
    true('by file', role_of(s, who(s, environment)).startswith('task/'))
    s.fake.reset(container={'authorization': 'another'})
    holds('refused', s.rejection('listRegions()', environment=environment)['message'], '401')


@case
def credentials_container_only_at_safe_addresses(s):
    """Plain HTTP to anybody else would give the authorization token away."""
    environment = s.bare_environment(AWS_CONTAINER_CREDENTIALS_FULL_URI='http://192.0.2.1/v2/credentials',
                                     AWS_CONTAINER_AUTHORIZATION_TOKEN='Bearer abc')
    complains(s, environment, '192.0.2.1', 'AWS_CONTAINER_CREDENTIALS_FULL_URI')


@case
def credentials_imds(s):
    environment = s.bare_environment(AWS_EC2_METADATA_DISABLED=None, AWS_EC2_METADATA_SERVICE_ENDPOINT=s.fake.url)
    same('role', role_of(s, who(s, environment)), 'machine-role/i-0123456789abcdef0')
    same('token, role, credentials', [requests(s, 'imds.' + one) for one in ('GetToken', 'GetRoleName', 'GetCredentials')],
         [1, 1, 1])
    same('never without a token', s.fake.count('imds/v1_refused'), 0)


@case
def credentials_imds_throttled_or_slow(s):
    environment = s.bare_environment(AWS_EC2_METADATA_DISABLED=None, AWS_EC2_METADATA_SERVICE_ENDPOINT=s.fake.url)
    for operation in ('GetToken', 'GetRoleName', 'GetCredentials'):
        for do in ({'kind': 'error', 'code': 'x', 'status': 503}, 'reset'):
            s.fake.reset()
            s.fake.fault(do, operation=operation, nth=1)
            who(s, environment)


@case
def credentials_imds_garbage(s):
    environment = s.bare_environment(AWS_EC2_METADATA_DISABLED=None, AWS_EC2_METADATA_SERVICE_ENDPOINT=s.fake.url)
    for operation in ('GetToken', 'GetRoleName', 'GetCredentials'):
        for do in ('garbage', 'empty', {'kind': 'huge', 'bytes': 5 << 20}, {'kind': 'deep', 'depth': 500000},
                   {'kind': 'body', 'text': '{"Code": "Success"}'}, {'kind': 'body', 'text': 'a\r\nHost: x'}):
            s.fake.no_faults()
            s.fake.fault(do, operation=operation)
            if (operation, do) == ('GetToken', {'kind': 'body', 'text': '{"Code": "Success"}'}):
                continue  # may be sent as it is, and refused
            found = s.rejection('listRegions()', environment=environment, call_timeout_ms=15000)
            same(f'{operation} {do}', found['name'], 'CredentialsError')


@case
def credentials_imds_disabled_is_not_asked(s):
    s.rejection('listRegions()', environment=s.bare_environment(AWS_EC2_METADATA_SERVICE_ENDPOINT=s.fake.url))
    same('requests', s.fake.count('total/requests'), 0)


@case
def credentials_none_lists_what_was_tried(s):
    s.fake.config(imds={'role': ''})
    found = s.rejection('listRegions()', environment=s.bare_environment(
        AWS_EC2_METADATA_DISABLED=None, AWS_EC2_METADATA_SERVICE_ENDPOINT=s.fake.url))
    same('name', found['name'], 'CredentialsError')
    holds('message', found['message'], 'AWS_ACCESS_KEY_ID', 'profile', 'AWS_WEB_IDENTITY_TOKEN_FILE',
          'AWS_CONTAINER_CREDENTIALS', 'metadata')


LINK_LOCAL = ('ip link set lo up && ip addr add 169.254.169.254/32 dev lo && ip addr add 169.254.170.2/32 dev lo && '
              'exec "$@"')


@case
def credentials_at_the_link_local_addresses(s):
    """169.254.169.254 and 169.254.170.2 themselves: in a network namespace that has them, with the fake AWS at port 80."""
    if s.link_local:
        true('IMDS', role_of(s, who(s, s.bare_environment(AWS_EC2_METADATA_DISABLED=None))).startswith('machine-role/'))
        s.fake.reset()
        environment = s.bare_environment(AWS_CONTAINER_CREDENTIALS_RELATIVE_URI='/v2/credentials/1')
        true('container', role_of(s, who(s, environment)).startswith('task/'))
        same('hosts', {entry['host'] for entry in s.fake.log() if entry['operation'] == 'container.GetCredentials'},
             {'169.254.170.2'})
        return
    if os.geteuid() != 0 or not shutil.which('ip') or subprocess.run(['unshare', '--net', 'true'],
                                                                     capture_output=True, timeout=20).returncode:
        raise Skip('a network namespace of its own needs root, unshare and ip')
    run = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'run.py')
    done = subprocess.run(['unshare', '--net', 'sh', '-c', LINK_LOCAL, 'sh', sys.executable, run, '--link-local', '--only',
                           'credentials_at_the_link_local_addresses'], capture_output=True, text=True, timeout=120)
    true(f'{done.stdout}{done.stderr}', done.returncode == 0)


@case
def credentials_order(s):
    """Every source is there: the environment wins; without it the profile, and so on."""
    s.fake.keys(**SECOND)
    token = s.file('token', 'web-identity-token')
    s.file('.aws/credentials', f'[default]\n{static("AKIASECONDKEY", SECOND["AKIASECONDKEY"])}')
    everything = {'AWS_CONTAINER_CREDENTIALS_FULL_URI': s.fake.url + '/v2/credentials/1', 'AWS_EC2_METADATA_DISABLED': None,
                  'AWS_EC2_METADATA_SERVICE_ENDPOINT': s.fake.url}
    web = {'AWS_WEB_IDENTITY_TOKEN_FILE': token, 'AWS_ROLE_ARN': f'arn:aws:iam::{data.OWN_ACCOUNT}:role/pod'}
    who(s, s.environment(**everything, **web), OWN_ACCESS_KEY)
    s.fake.reset(keys=SECOND)
    who(s, s.bare_environment(**everything), 'AKIASECONDKEY')
    os.remove(os.path.join(s.home, '.aws/credentials'))
    for more, role in (({**everything, **web}, 'pod/'), (everything, 'task/'),
                       ({**everything, 'AWS_CONTAINER_CREDENTIALS_FULL_URI': None}, 'machine-role/')):
        s.fake.reset()
        true(role, role_of(s, who(s, s.bare_environment(**more))).startswith(role))


@case
def credentials_half_given(s):
    """A key without its secret is a mistake that is named."""
    complains(s, s.bare_environment(AWS_ACCESS_KEY_ID='AKIA1'), 'AWS_SECRET_ACCESS_KEY')


@case
def files_with_mistakes_are_named(s):
    s.file('.aws/credentials', f'[default]\n{static(OWN_ACCESS_KEY, OWN_KEY)}')
    complains(s, s.bare_environment(AWS_PROFILE='nobody'), 'nobody')
    s.file('.aws/config', '[profile a]\nrole_arn = arn:aws:iam::1:role/x\nsource_profile = b\n[profile b]\n'
                          'role_arn = arn:aws:iam::1:role/y\nsource_profile = a\n')
    complains(s, s.bare_environment(AWS_PROFILE='a'), 'source_profile')
    s.file('.aws/config', '[profile a]\nrole_arn = arn:aws:iam::1:role/x\n')
    complains(s, s.bare_environment(AWS_PROFILE='a'), 'source_profile')
    s.file('.aws/config', '[profile a\nregion = x\n')
    complains(s, s.bare_environment(AWS_PROFILE='a'), '.aws/config', '1')


# ---- keeping and refreshing


@case
def credentials_are_cached_and_asked_for_once(s):
    """20 calls at once, and 20 one after the other: one look-up."""
    environment = s.bare_environment(AWS_EC2_METADATA_DISABLED=None, AWS_EC2_METADATA_SERVICE_ENDPOINT=s.fake.url)
    s.fake.fault({'kind': 'delay', 'ms': 100}, operation='GetCredentials')
    same('calls', s.value('''const all = await Promise.all(Array.from({length: 20}, () => listRegions()));
      for (let i = 0; i < 20; i++) all.push(await listRegions()); all.length''', environment=environment,
                          max_parallel_calls=20), 40)
    same('look-ups', [requests(s, 'imds.' + one) for one in ('GetToken', 'GetRoleName', 'GetCredentials')], [1, 1, 1])


# Calls, side by side, until more than the life of the credentials has passed.
FOR_A_WHILE = '''const until = Date.now() + %d; let calls = 0;
const one = async () => { while (Date.now() < until) { await %s; calls++; } };
await Promise.all(Array.from({length: 6}, one)); calls'''


@case
def credentials_are_refreshed_before_they_expire(s):
    """Of two seconds' life, for seven: no request with expired ones, never two refreshes at a time."""
    for source, environment in (
            ('imds', {'AWS_EC2_METADATA_DISABLED': None, 'AWS_EC2_METADATA_SERVICE_ENDPOINT': s.fake.url}),
            ('container', {'AWS_CONTAINER_CREDENTIALS_FULL_URI': s.fake.url + '/v2/credentials/1'})):
        s.fake.reset(**{source: {'ttl_s': 2, 'rotate_at': 0.6}})
        true(source, s.value(FOR_A_WHILE % (7000, 'listRegions()'), environment=s.bare_environment(**environment),
                             max_calls=1000000) > 6)
        found = s.fake.counters()
        same(f'{source}: refused', found['signature_failure_list'], [])
        refreshes = found['operations'][source + '.GetCredentials']
        true(f'{source}: {refreshes}', refreshes['requests'] >= 3)
        same(f'{source}: at a time', refreshes['peak_in_flight'], 1)


@case
def assumed_roles_are_refreshed_before_they_expire(s):
    s.fake.config(session_ttl_s=2, resources=3)
    true('calls', s.value(FOR_A_WHILE % (6000, RESOURCES % f", accountId: '{OTHER}'"), max_calls=1000000) > 6)
    found = s.fake.counters()['operations']
    same('at a time', found['sts.AssumeRole']['peak_in_flight'], 1)
    true('refreshes', found['sts.AssumeRole']['requests'] >= 3)


@case
def a_failed_refresh_keeps_what_still_works(s):
    """The metadata service is away while the credentials are due for refresh but have not expired."""
    s.fake.config(imds={'ttl_s': 240, 'rotate_at': 1})
    s.fake.fault({'kind': 'error', 'code': 'x', 'status': 500}, operation='GetCredentials', nth=list(range(2, 200)))
    environment = s.bare_environment(AWS_EC2_METADATA_DISABLED=None, AWS_EC2_METADATA_SERVICE_ENDPOINT=s.fake.url)
    same('calls', s.value('let n = 0; for (let i = 0; i < 3; i++) n += (await listRegions()).length; n',
                          environment=environment), 36)


@case(refused=True)
def a_revoked_key_rejects(s):
    s.fake.keys(**{OWN_ACCESS_KEY: {'revoked': True}})
    found = s.rejection('listRegions()')
    same('name', (found['name'], found['statusCode'], found['retryable']), ('UnrecognizedClientException', 403, False))
    true('once', s.fake.count('signature_failures') <= 2)


@case(refused=True)
def a_skewed_clock_is_said(s):
    """Or corrected for, as the SDKs do."""
    s.fake.config(clock_skew_s=3600)
    found = s.value('const r = await attempt(() => listRegions()); r')
    if 'resolved' not in found:
        same('name', found['name'], 'InvalidSignatureException')
        holds('message', found['message'], 'expired')


# ---- other accounts


@case
def other_account_by_assume_role(s):
    s.fake.config(resources=3)
    found = s.value(f'''const resourceType = 'AWS::EC2::Instance', region = 'eu-west-1';
      const r = await Promise.all(['{OTHER}', '{OTHER}', '444400000008', '{data.OWN_ACCOUNT}', undefined]
        .map((accountId) => queryResources({{resourceType, accountId, region}}))); r''')
    same('resources', found, [resource_objects(owner, 'eu-west-1', 3) for owner in
                              (OTHER, OTHER, '444400000008', data.OWN_ACCOUNT, data.OWN_ACCOUNT)])
    same('roles', requests(s, 'sts.AssumeRole'), 2)


@case
def other_account_for_logs_and_trail(s):
    s.fake.config(log_events=3, trail_events=3)
    found = s.value(f'''const logs = await queryCloudWatchLogEvents({{logGroupName: '/app/web', accountId: '{OTHER}',
        startTime: {data.LOG_START_MS}}});
      const trail = await getCloudTrailEvents({{accountId: '{OTHER}', startTime: {data.TRAIL_START_S * 1000}}});
      ({{stream: logs[0].logStreamName, account: trail[0].event.recipientAccountId}})''')
    same('account', found, {'stream': f'{OTHER}/us-east-1/0', 'account': OTHER})


@case
def other_account_without_a_role(s):
    found = s.rejection(RESOURCES % f", accountId: '{OTHER}'", aws_assume_role='')
    holds('message', found['message'], OTHER, 'aws_assume_role')
    same('roles', requests(s, 'sts.AssumeRole'), 0)
    same('own', len(s.value(f"const r = await {RESOURCES % ''}; r", aws_assume_role='')), 3)


@case
def other_account_that_refuses(s):
    s.fake.config(roles={'isoq-reader': {'not_in': [OTHER]}})
    found = s.rejection(RESOURCES % f", accountId: '{OTHER}'")
    true(found['name'], found['name'] in ('AccessDenied', 'CredentialsError'))
    same('status', found['statusCode'], 403)
    holds('message', found['name'] + found['message'], OTHER, 'AccessDenied', 'isoq-reader')
    same('another', len(s.value(f"const r = await {RESOURCES % ', accountId: %r' % '444400000008'}; r")), 3)


@case
def other_account_in_another_partition(s):
    """The role's ARN has the partition of the region."""
    s.fake.config(resources=1)
    found = s.value(f"const r = await queryResources('AWS::EC2::Instance', '{OTHER}', 'cn-north-1'); r",
                    environment=s.environment(AWS_REGION='cn-north-1'))
    same('resources', found, resource_objects(OTHER, 'cn-north-1', 1))
    arns = [key['arn'] for name, key in s.fake.ask('GET', 'keys').items() if name.startswith('ASIA')]
    true(f'{arns}', len(arns) == 1 and arns[0].startswith('arn:aws-cn:'))
