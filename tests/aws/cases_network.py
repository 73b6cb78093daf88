"""What goes wrong between here and AWS, and what is done about it."""
import json
import time

import data
from cases_calls import EVERY_CALL
from setting import case, holds, requests, same, true, Skip

REGIONS = 'account.ListRegions'


@case
def throttled_then_ok(s):
    for operation in EVERY_CALL:
        s.fake.fault('throttle', operation=operation.split('.')[1], nth=[1, 2])
    found = s.value(f'const r = await Promise.all([{", ".join(EVERY_CALL.values())}]); r.map((x) => x.length)')
    for operation, length in zip(EVERY_CALL, found):
        true(operation, length > 0)
        same('throttled', s.fake.count(f'operations/{operation}/faults/throttle'), 2)


@case
def retries_end(s):
    for operation in EVERY_CALL:
        s.fake.fault('throttle', operation=operation.split('.')[1])
    calls = ', '.join(f'attempt(() => {call})' for call in EVERY_CALL.values())
    outcomes = s.value(f'const r = await Promise.all([{calls}]); r')
    codes = {entry['operation']: entry['code'] for entry in s.fake.log()}
    for operation, found in zip(EVERY_CALL, outcomes):
        true(f'{operation} gave {found}', 'resolved' not in found and found['isError'])
        same(operation, (found['retryable'], found['name']), (True, codes[operation]))
        count = requests(s, operation)
        true(f'{operation}: {count} requests', 2 <= count <= 5)


TRANSIENT = ('reset', 'garbage_http', {'kind': 'close_early', 'after': 0}, {'kind': 'close_early', 'after': 300},
             {'kind': 'wrong_content_length', 'delta': 20}, {'kind': 'retry_after', 'seconds': 1},
             {'kind': 'error', 'code': 'InternalServerException', 'status': 500},
             {'kind': 'error', 'code': 'ServiceUnavailable', 'status': 503},
             {'kind': 'error', 'code': 'RequestTimeout', 'status': 400})


@case
def transient_errors_are_retried(s):
    for do in TRANSIENT:
        s.fake.reset()
        s.fake.fault(do, operation='ListRegions', nth=1)
        same(do, s.value('const r = await listRegions(); r.length'), 12)
        same(f'{do}: requests', requests(s, REGIONS), 4)


@case
def lasting_errors_of_the_network_reject(s):
    for do in ('reset', {'kind': 'close_early', 'after': 300}):
        s.fake.reset()
        s.fake.fault(do, operation='ListRegions')
        found = s.rejection('listRegions()')
        same(do, (found['name'], found['retryable']), ('NetworkError', True))
    found = s.rejection('listRegions()', environment=s.environment(AWS_ENDPOINT_URL='http://127.0.0.1:1'))
    same('nobody there', found['name'], 'NetworkError')
    holds('message', found['message'], '127.0.0.1')


@case
def garbage_rejects(s):
    """Answers that are no JSON, half of it, or JSON of another shape: every function, every one."""
    s.fake.config(organization='management')
    doings = ('garbage', 'empty', 'truncate', *({'kind': 'body', 'text': text} for text in (
        'null', '[]', '5', '{"Accounts": 5, "Regions": 5, "ResourceDescriptions": 5, "events": 5, "Events": 5}',
        '{"Accounts": [5], "Regions": [5], "ResourceDescriptions": [5], "events": [5], "Events": [5]}',
        '{"Accounts": [], "Regions": [], "ResourceDescriptions": [], "events": [], "Events": [], "NextToken": 5, '
        '"nextToken": 5}',
        '{"ResourceDescriptions": [{"Identifier": "x", "Properties": "{"}], "Accounts": [{"Id": {}}], '
        '"Regions": [{"RegionName": {}}], "events": [{"timestamp": "x"}], "Events": [{"EventTime": {}}]}')))
    for do in doings:
        s.fake.no_faults()
        s.fake.fault(do)
        calls = ', '.join(f'await attempt(() => {call})' for call in EVERY_CALL.values())
        for call, found in zip(EVERY_CALL.values(), s.value(f'const r = [{calls}]; r')):
            true(f'{do}: {call} gave {found}', 'resolved' not in found and found['isError'])


@case
def garbage_from_sts_rejects(s):
    s.fake.config(organization='denied')
    for do in ('garbage', 'empty', 'truncate', 'entities', {'kind': 'deep', 'depth': 200000},
               {'kind': 'huge', 'bytes': 20 << 20}, {'kind': 'body', 'text': '<a><b></a>'},
               {'kind': 'body', 'text': '<a/>'}):
        s.fake.no_faults()
        s.fake.fault(do, service='sts')
        s.rejection('listAccounts()')


@case
def deep_answers_reject(s):
    for depth in (2000, 1000000):
        s.fake.no_faults()
        s.fake.fault({'kind': 'deep', 'depth': depth})
        calls = ', '.join(f'await attempt(() => {call})' for call in EVERY_CALL.values())
        for call, found in zip(EVERY_CALL.values(), s.value(f'const r = [{calls}]; r')):
            true(f'{depth}: {call} gave {str(found)[:200]}', 'resolved' not in found)


@case
def deep_properties_do_no_harm(s):
    """The properties are JSON in a string: a second parser, a second depth."""
    text = json.dumps({'TypeName': 'AWS::EC2::Instance', 'ResourceDescriptions': [
        {'Identifier': 'i-1', 'Properties': '[' * 200000 + ']' * 200000}]})
    s.fake.fault({'kind': 'body', 'text': text}, operation='ListResources')
    same('status', s.run("const r = await attempt(() => queryResources('AWS::EC2::Instance')); 1")['status'], 'ok')


@case
def huge_answers_reject_in_little_memory(s):
    s.fake.fault({'kind': 'huge', 'bytes': 200 << 20}, operation='ListRegions')
    running = s.start('const r = await attempt(() => listRegions()); r')
    peak_kb = 0
    while running.process.poll() is None:
        try:
            with open(f'/proc/{running.process.pid}/status', encoding='ascii') as file:
                peak_kb = max([peak_kb] + [int(line.split()[1]) for line in file if line.startswith('VmHWM')])
        except (OSError, ValueError):
            break
        time.sleep(0.01)  # a sample, not a wait
    found = s.value_of(running.finish())
    true(f'resolved: {str(found)[:200]}', 'resolved' not in found)
    holds('message', found['message'], '8388608')
    import os
    true(f'{peak_kb} kB', 'ASAN_OPTIONS' in os.environ or 0 < peak_kb < 80 * 1024)


@case
def never_past_the_time_of_a_call(s):
    """Retries that would not fit are not begun: the call ends with what there was, and the job goes on."""
    s.fake.fault({'kind': 'retry_after', 'seconds': 3600}, operation='ListRegions')
    found = s.value('const r = []; for (let i = 0; i < 5; i++) r.push(await attempt(() => listRegions())); r',
                    call_timeout_ms=300, timeout_ms=30000)
    for one in found:
        true(f'{one}', one.get('name') in ('TimeoutError', 'ServiceUnavailableException'))


@case
def a_call_has_a_time_limit(s):
    for do in ('hang', {'kind': 'slow', 'bytes_per_s': 20}):
        s.fake.reset()
        s.fake.fault(do, operation='ListRegions')
        found = s.rejection('listRegions()', call_timeout_ms=400)
        same(do, found['name'], 'TimeoutError')
        holds('message', found['message'], '400')
        same('closed', s.fake.wait(f'operations/{REGIONS}/aborted', at_least=1) >= 1, True)


@case
def slow_answers_arrive(s):
    s.fake.fault({'kind': 'slow', 'bytes_per_s': 2000}, operation='ListRegions')
    same('regions', s.value('const r = await listRegions(); r.length'), 12)


@case
def retry_budget(s):
    """100 calls that are all throttled: AWS' standard mode has 500 tokens, and a retry takes 5."""
    s.fake.fault('throttle', operation='ListRegions')
    found = s.value('const r = await Promise.all(Array.from({length: 100}, () => attempt(() => listRegions())));'
                    'r.filter((one) => one.name === "TooManyRequestsException").length', max_parallel_calls=100,
                    aws_max_requests=100)
    same('rejected', found, 100)
    count = requests(s, REGIONS)
    true(f'{count} requests', 110 <= count <= 210)


@case
def backoff_grows_and_is_capped(s):
    """The times between the attempts of one call: none at once, none above 20 s, and not all the same."""
    s.fake.fault('throttle', operation='ListRegions')
    s.value('const r = await Promise.all(Array.from({length: 8}, () => attempt(() => listRegions()))); 1')
    times = sorted(entry['t'] for entry in s.fake.log())
    true('at once', times[-1] - times[0] > 0.01)
    true('too late', times[-1] - times[0] < 25)
    late = times[8:]
    true('no jitter', len({round(t, 2) for t in late}) > 1)


@case
def redirects_are_not_followed(s):
    s.fake.fault({'kind': 'redirect', 'location': s.fake.other_url + '/listRegions'}, operation='ListRegions')
    s.rejection('listRegions()')
    same('ports', list(s.fake.count(f'operations/{REGIONS}/ports')), [str(s.fake.port)])


@case
def connections_are_reused(s):
    same('calls', s.value('let n = 0; for (let i = 0; i < 20; i++) n += (await listRegions()).length; n'), 240)
    found = s.fake.count('connections')
    true(f'{found}', found['requests'] == 60 and found['reused'] >= 58)


@case
def the_connections_are_closed_at_the_end(s):
    s.value('const r = await listRegions(); 1')
    same('open', s.fake.wait('connections/open', at_most=1), 1)  # the one that asks


# ---- endpoints and TLS


@case
def tls_is_verified(s):
    if not s.fake.tls_port:
        raise Skip('no openssl command')
    url, wrong = f'https://127.0.0.1:{s.fake.tls_port}', f'https://127.0.0.1:{s.fake.wrong_name_port}'
    same('with the CA', s.value('const r = await listRegions(); r.length', environment=s.environment(
        AWS_ENDPOINT_URL=url, AWS_CA_BUNDLE=s.fake.ca)), 12)
    for what, environment in (('unknown CA', s.environment(AWS_ENDPOINT_URL=url)),
                              ('wrong name', s.environment(AWS_ENDPOINT_URL=wrong, AWS_CA_BUNDLE=s.fake.ca))):
        found = s.rejection('listRegions()', environment=environment)
        same(what, found['name'], 'NetworkError')
        holds(what, found['message'], 'certificate')
    same('requests', requests(s, REGIONS), 3)


@case
def endpoints_of_single_services(s):
    names = {'ORGANIZATIONS': 'organizations.ListAccounts', 'STS': 'sts.GetCallerIdentity', 'ACCOUNT': REGIONS,
             'CLOUDCONTROL': 'cloudcontrol.ListResources', 'CLOUDWATCH_LOGS': 'logs.FilterLogEvents',
             'CLOUDTRAIL': 'cloudtrail.LookupEvents'}
    for name, operation in names.items():
        s.fake.reset(organization='denied' if name == 'STS' else 'management')
        call = EVERY_CALL.get(operation, 'listAccounts()')
        s.value(f'const r = await {call}; 1', environment=s.environment(**{'AWS_ENDPOINT_URL_' + name: s.fake.other_url}))
        same(name, list(s.fake.count(f'operations/{operation}/ports')), [str(s.fake.other_port)])
        s.value(f'const r = await {call}; await listRegions(); 1', environment=s.environment(
            **{'AWS_ENDPOINT_URL': s.fake.other_url, 'AWS_ENDPOINT_URL_' + name: s.fake.url}))
        same(name, set(s.fake.count(f'operations/{operation}/ports')), {str(s.fake.other_port), str(s.fake.port)})


@case
def endpoint_of_a_profile(s):
    s.file('.aws/config', f'[default]\nendpoint_url = {s.fake.other_url}\n')
    s.value('const r = await listRegions(); 1', environment=s.environment(AWS_ENDPOINT_URL=None))
    same('port', list(s.fake.count(f'operations/{REGIONS}/ports')), [str(s.fake.other_port)])


HOSTS = (  # region, FIPS, hosts: as AWS' own SDK asks them
    ('us-east-1', False, ('organizations.us-east-1.amazonaws.com', 'sts.us-east-1.amazonaws.com',
                          'account.us-east-1.amazonaws.com', 'cloudcontrolapi.us-east-1.amazonaws.com',
                          'logs.us-east-1.amazonaws.com', 'cloudtrail.us-east-1.amazonaws.com')),
    ('eu-west-1', False, ('organizations.us-east-1.amazonaws.com', 'sts.eu-west-1.amazonaws.com',
                          'account.us-east-1.amazonaws.com', 'cloudcontrolapi.eu-west-1.amazonaws.com',
                          'logs.eu-west-1.amazonaws.com', 'cloudtrail.eu-west-1.amazonaws.com')),
    ('cn-north-1', False, ('organizations.cn-northwest-1.amazonaws.com.cn', 'sts.cn-north-1.amazonaws.com.cn',
                           'account.cn-northwest-1.amazonaws.com.cn', 'cloudcontrolapi.cn-north-1.amazonaws.com.cn',
                           'logs.cn-north-1.amazonaws.com.cn', 'cloudtrail.cn-north-1.amazonaws.com.cn')),
    ('us-gov-east-1', False, ('organizations.us-gov-west-1.amazonaws.com', 'sts.us-gov-east-1.amazonaws.com',
                              'account.us-gov-west-1.amazonaws.com', 'cloudcontrolapi.us-gov-east-1.amazonaws.com',
                              'logs.us-gov-east-1.amazonaws.com', 'cloudtrail.us-gov-east-1.amazonaws.com')),
    ('us-east-1', True, ('organizations-fips.us-east-1.amazonaws.com', 'sts-fips.us-east-1.amazonaws.com',
                         'account-fips.us-east-1.amazonaws.com', 'cloudcontrolapi-fips.us-east-1.amazonaws.com',
                         'logs-fips.us-east-1.amazonaws.com', 'cloudtrail-fips.us-east-1.amazonaws.com')),
    ('us-gov-west-1', True, ('organizations.us-gov-west-1.amazonaws.com', 'sts.us-gov-west-1.amazonaws.com',
                             'account-fips.us-gov-west-1.amazonaws.com', 'cloudcontrolapi-fips.us-gov-west-1.amazonaws.com',
                             'logs.us-gov-west-1.amazonaws.com', 'cloudtrail.us-gov-west-1.amazonaws.com')),
)


@case
def endpoints_by_partition(s):
    """The real hosts, over TLS, by way of a proxy that hands them to the fake AWS."""
    if not s.fake.tls_port:
        raise Skip('no openssl command')
    for region, fips, hosts in HOSTS:
        s.fake.reset(organization='denied')
        environment = s.environment(AWS_ENDPOINT_URL=None, AWS_REGION=region, AWS_CA_BUNDLE=s.fake.ca,
                                    HTTPS_PROXY=s.fake.url, https_proxy=s.fake.url,
                                    AWS_USE_FIPS_ENDPOINT='true' if fips else None)
        calls = ', '.join(f'await {call}' for call in EVERY_CALL.values())
        s.value(f'const r = [{calls}]; 1', environment=environment)
        same(f'{region}, FIPS {fips}', sorted(s.fake.count('proxy')), sorted(host + ':443' for host in hosts))
        s.nothing_refused()


@case
def the_region_comes_from_the_environment_or_the_profile(s):
    call = f"const r = await {EVERY_CALL['logs.FilterLogEvents']}; 1"
    s.file('.aws/config', '[default]\nregion = eu-central-1\n[profile other]\nregion=sa-east-1\n')
    for more, region in (({'AWS_REGION': 'eu-west-1', 'AWS_DEFAULT_REGION': 'eu-west-2'}, 'eu-west-1'),
                         ({'AWS_REGION': None, 'AWS_DEFAULT_REGION': 'eu-west-2'}, 'eu-west-2'),
                         ({'AWS_REGION': None}, 'eu-central-1'),
                         ({'AWS_REGION': None, 'AWS_PROFILE': 'other'}, 'sa-east-1'),
                         ({'AWS_REGION': None, 'AWS_CONFIG_FILE': '/nonexistent'}, 'us-east-1')):
        s.fake.reset()
        s.value(call, environment=s.environment(**more))
        same(more, list(s.fake.count('operations/logs.FilterLogEvents/regions')), [region])


@case
def a_region_of_its_own_for_every_call(s):
    s.fake.config(log_events=3)
    found = s.value(f"const r = await queryCloudWatchLogEvents({{logGroupName: '/app/web', startTime: {data.LOG_START_MS}, "
                    "region: 'ap-south-1'}); r")
    true(f'{found}', all(event['logStreamName'].startswith(f'{data.OWN_ACCOUNT}/ap-south-1/') for event in found))
