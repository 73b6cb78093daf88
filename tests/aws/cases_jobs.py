"""The five functions in jobs of a real worker: the contract's own script, allow-lists, ends that abort, rates, and load."""
import json
import os
import re
import socket
import subprocess

import data
import rig as rigs
from setting import PREFIX, case, holds, requests, resource_objects, same, true, Skip

TRAIL = data.TRAIL_START_S * 1000
REGIONS = 'account.ListRegions'
ISSUE_SCRIPT = ("const instances = await queryResources('AWS::EC2::Instance', 'acct', 'us-east-1'); "
                'JSON.stringify(instances);')


@case
def issue_line_4(s):
    """The script word for word. "acct" is the name of an account in the organization, here the caller's own."""
    s.fake.config(resources=7)
    s.start_worker()
    s.redis('LPUSH', PREFIX + 'jobs', json.dumps({'id': 'line4', 'code': ISSUE_SCRIPT}))
    result = s.result('line4')
    same('status', (result['status'], result['error'], result['result_type']), ('ok', None, 'string'))
    same('resources', json.loads(result['result']), resource_objects(data.OWN_ACCOUNT, 'us-east-1', 7))
    same('roles', s.fake.counters()['operations'].get('sts.AssumeRole', {}).get('requests', 0), 0)


@case
def issue_line_4_without_an_organization(s):
    """Nobody can say whose name it is, and no role is set: only the own account can be meant."""
    s.fake.config(resources=7)
    for organization in ('denied', 'none'):
        s.fake.config(organization=organization)
        s.start_worker(aws_assume_role='')
        s.redis('LPUSH', PREFIX + 'jobs', json.dumps({'id': 'line4-' + organization, 'code': ISSUE_SCRIPT}))
        result = s.result('line4-' + organization)
        same('status', (result['status'], result['error']), ('ok', None))
        same('resources', json.loads(result['result']), resource_objects(data.OWN_ACCOUNT, 'us-east-1', 7))
        s.worker.kill()


@case
def issue_line_4_where_nothing_else_answers(s):
    """Only Cloud Control is there: Organizations cannot be reached, or speaks something else; nor can STS."""
    s.fake.config(resources=7)
    with socket.socket() as closed:
        closed.bind(('127.0.0.1', 0))  # and not listening
        nowhere = f'http://127.0.0.1:{closed.getsockname()[1]}'
        found = s.value(ISSUE_SCRIPT, aws_assume_role='', environment=s.environment(
            AWS_ENDPOINT_URL_ORGANIZATIONS=nowhere, AWS_ENDPOINT_URL_STS=nowhere))
    wanted = [{**one, 'accountId': 'acct'} for one in resource_objects(data.OWN_ACCOUNT, 'us-east-1', 7)]
    same('its number is not known', json.loads(found) if isinstance(found, str) else found, wanted)
    s.fake.fault('garbage', operation='ListAccounts')
    found = s.value(ISSUE_SCRIPT, aws_assume_role='')
    same('resources', found, resource_objects(data.OWN_ACCOUNT, 'us-east-1', 7))


@case
def an_account_by_its_name(s):
    s.fake.config(accounts=45, resources=2)
    name = data.account(44)['Name']
    found = s.value(f"const name = {json.dumps(name)}; const r = [await queryResources('AWS::EC2::Instance', name), "
                    "(await listRegions(name)).length]; r")
    same('found', found, [resource_objects(data.account(44)['Id'], 'us-east-1', 2), 12])
    same('looked up once, page by page', requests(s, 'organizations.ListAccounts'), 3)
    error = s.rejection("queryResources('AWS::EC2::Instance', 'ACCT')")
    same('name', error['name'], 'TypeError')
    holds('message', error['message'], 'no account is named "ACCT"', '12 digits')


@case
def a_name_that_cannot_be_looked_up_is_no_account(s):
    """With a role for other accounts, it could be any of them."""
    s.fake.config(organization='denied')
    error = s.rejection("queryResources('AWS::EC2::Instance', 'acct')")
    same('name', error['name'], 'AccessDeniedException')
    holds('message', error['message'], '"acct"', 'could not be looked up', '12 digits')
    same('requests', s.fake.count('total/requests'), 1)


@case
def issue_line_4_with_account_numbers(s):
    s.fake.config(resources=7)
    s.start_worker()
    for owner in (data.OWN_ACCOUNT, '444400000007'):
        s.redis('LPUSH', PREFIX + 'jobs', json.dumps({'id': 'line4-' + owner,
                                                      'code': ISSUE_SCRIPT.replace('acct', owner)}))
        result = s.result('line4-' + owner)
        same('type', (result['status'], result['result_type']), ('ok', 'string'))
        same('resources', json.loads(result['result']), resource_objects(owner, 'us-east-1', 7))


@case
def a_job_has_the_bindings_that_it_names(s):
    s.start_worker()
    types = '[typeof listRegions, typeof listAccounts, typeof queryResources]'
    s.submit('some', types, bindings=['listRegions'])
    same('some', json.loads(s.result('some')['result']), ['function', 'undefined', 'undefined'])
    s.submit('none', types, bindings=[])
    same('none', json.loads(s.result('none')['result']), ['undefined'] * 3)
    s.submit('all', types)
    same('all', json.loads(s.result('all')['result']), ['function'] * 3)
    s.submit('unknown', types, bindings=['listRegion'])
    result = s.result('unknown')
    same('unknown', result['status'], 'invalid')
    true(result['error'], 'listRegion' in result['error']['message'] and 'bindings' in result['error']['message'])


@case
def the_configuration_limits_the_bindings(s):
    s.start_worker(bindings='listRegions,queryResources')
    s.submit('default', '[typeof listRegions, typeof listAccounts, typeof queryResources]')
    same('default', json.loads(s.result('default')['result']), ['function', 'undefined', 'function'])
    s.submit('more', '1', bindings=['listAccounts'])
    result = s.result('more')
    same('more', result['status'], 'invalid')
    true(result['error'], 'listAccounts' in result['error']['message'])


@case
def the_end_of_a_job_aborts_its_transfers(s):
    """It threw, its time was over, it was cancelled: the connection is closed, while the worker lives on."""
    s.start_worker()
    s.fake.fault('hang', operation='ListRegions')
    s.submit('threw', 'listRegions(); await listAccounts(); throw new Error("enough")')
    same('threw', s.result('threw')['status'], 'error')
    s.fake.wait(f'operations/{REGIONS}/aborted', at_least=1)
    s.submit('late', 'await Promise.all([listRegions(), listRegions()])', timeout_ms=700)
    same('late', s.result('late')['status'], 'timeout')
    s.fake.wait(f'operations/{REGIONS}/aborted', at_least=3)
    s.submit('cancelled', 'await listRegions()')
    s.fake.wait(f'operations/{REGIONS}/in_flight', at_least=1)
    done = subprocess.run([s.isoq, 'cancel', 'cancelled', '--redis', f'unix://{s.redis_server.socket}'],
                          env=s.bare_environment(), capture_output=True, text=True, timeout=60)
    same(f'isoq cancel: {done.stderr}', done.returncode, 0)
    same('cancelled', s.result('cancelled')['status'], 'cancelled')
    s.fake.wait(f'operations/{REGIONS}/aborted', at_least=4)
    same('under way', s.fake.wait(f'operations/{REGIONS}/in_flight', at_most=0), 0)


@case
def no_retry_after_the_end_of_a_job(s):
    s.start_worker()
    s.fake.fault('throttle', operation='ListRegions')
    s.submit('late', 'while (true) await attempt(() => listRegions())', timeout_ms=1000)
    same('late', s.result('late')['status'], 'timeout')
    before = requests(s, REGIONS)
    # Another job is busy for longer than the back-off of the first retries.
    s.submit('busy', 'const until = Date.now() + 3000; let n = 0; '
                     'while (Date.now() < until) { await listAccounts(); n++; await new Promise(r => setTimeout(r, 20)); } n')
    true('calls', int(s.result('busy')['result']) > 0)
    same('requests since', requests(s, REGIONS), before)


@case
def unanswered_calls_do_not_hold_a_job(s):
    """A call that nobody awaits is no reason to wait: the result comes, as with any other promise."""
    s.start_worker()
    s.fake.fault('hang', operation='ListRegions')
    s.submit('left', 'listRegions(); 42', timeout_ms=2000)
    result = s.result('left')
    true(f'{result}', result['status'] in ('ok', 'timeout'))
    s.fake.wait(f'operations/{REGIONS}/aborted', at_least=1)


@case
def cloudtrail_two_per_second_across_jobs(s):
    """The fake enforces AWS' limit with a bucket of two tokens; nothing may be throttled by it."""
    s.fake.config(limits={'cloudtrail.LookupEvents': {'per_s': 2, 'burst': 2}})
    s.start_worker(executors=4)
    for number in range(6):
        s.submit(f'trail{number}', f'const how = {{startTime: {TRAIL}, limit: 5}}; '
                 'const r = await Promise.all([getCloudTrailEvents(how), getCloudTrailEvents(how)]);'
                 'r.map((x) => x.length)')
    for number in range(6):
        result = s.result(f'trail{number}')
        same(f'trail{number}: {result["error"]}', result['result'], '[5,5]')
    same('throttled', s.fake.count('operations/cloudtrail.LookupEvents/throttled_by_limit'), 0)
    same('requests', requests(s, 'cloudtrail.LookupEvents'), 12)
    times = sorted(entry['t'] for entry in s.fake.log() if entry['operation'] == 'cloudtrail.LookupEvents')
    for first in times:
        window = [t for t in times if first <= t < first + 3]
        true(f'{len(window)} requests in 3 s', len(window) <= 3 * 2 + 2)


@case
def cloudtrail_limit_is_for_each_account_and_region(s):
    s.fake.config(limits={'cloudtrail.LookupEvents': {'per_s': 2, 'burst': 2}})
    calls = ', '.join(f"getCloudTrailEvents({{startTime: {TRAIL}, limit: 5, region: '{where}'{account}}})"
                      for where in ('us-east-1', 'eu-west-1', 'ap-south-1')
                      for account in ('', ", accountId: '444400000007'") for _ in range(2))
    same('answers', s.value(f'const r = await Promise.all([{calls}]); r.length', max_parallel_calls=12), 12)
    same('throttled', s.fake.count('operations/cloudtrail.LookupEvents/throttled_by_limit'), 0)
    times = sorted(entry['t'] for entry in s.fake.log() if entry['operation'] == 'cloudtrail.LookupEvents')
    true(f'one after the other: {times[-1] - times[0]:.1f} s', times[-1] - times[0] < 4)


# ---- load

LOAD_JOBS, LOAD_EXECUTORS = 200, 16
LOAD_SCRIPT = f'''const calls = [
  () => listAccounts(), () => listRegions(), () => queryResources('AWS::EC2::Instance'),
  () => queryResources('AWS::EC2::Instance', undefined, 'eu-west-1'),
  () => queryResources('AWS::S3::Bucket', '444400000007', 'us-east-1'),
  () => queryCloudWatchLogEvents('/app/web', {data.LOG_START_MS}, {data.LOG_START_MS + 60000}),
  () => queryCloudWatchLogEvents('/app/web', {data.LOG_START_MS}, {data.LOG_START_MS + 60000}, 'ERROR'),
  () => listRegions(), () => queryResources({{resourceType: 'AWS::EC2::Instance', limit: 5}}),
  () => getCloudTrailEvents({{startTime: {TRAIL}, limit: 5}})];
const all = await Promise.all(calls.map((call) => attempt(call)));
all.map((one) => 'resolved' in one ? 'ok' : one.name)'''
TRAIL_PER_S = 20


def loop_watch():
    path = os.path.join(rigs.bin_dir(), '..', 'tests', 'bin', 'libisoq_loop_watch.so')
    return os.path.abspath(path) if os.path.exists(path) and not rigs.under_asan() else None


@case
def load_200_jobs_of_10_calls(s):
    """Under throttling: all answered, within the rates that were set, the loop never away for more than 50 ms."""
    watch, numbers = loop_watch(), os.path.join(s.home, 'loop.json')
    # Pages as large as AWS gives, one page each, so that the count of requests is known but for retries.
    s.fake.config(limits={'cloudtrail.LookupEvents': {'per_s': TRAIL_PER_S, 'burst': TRAIL_PER_S}}, accounts=20, regions=12,
                  region_page=50, resources=100, log_events=500, log_empty_pages=0)
    for operation, every in (('ListAccounts', 10), ('ListRegions', 11), ('ListResources', 9), ('FilterLogEvents', 10)):
        s.fake.fault('throttle', operation=operation, every=every)
    s.start_worker({**s.environment(), 'LOOP_WATCH': numbers}, preload=watch, executors=LOAD_EXECUTORS, timeout_ms=120000,
                   aws_cloudtrail_per_s=TRAIL_PER_S, aws_max_requests=32, log_level='info')
    for number in range(LOAD_JOBS):
        s.submit(f'load{number}', LOAD_SCRIPT)
    outcomes = []
    for number in range(LOAD_JOBS):
        result = s.result(f'load{number}', patience_s=200)
        same(f'load{number}: {result["error"]}', result['status'], 'ok')
        outcomes += json.loads(result['result'])
    same('answers', len(outcomes), LOAD_JOBS * 10)
    others = [one for one in outcomes if one != 'ok']
    true(f'{len(others)} rejected: {sorted(set(others))}', len(others) <= 0.02 * len(outcomes)
         and set(others) <= {'ThrottlingException', 'TooManyRequestsException'})
    found = s.fake.counters()
    throttled = sum(one.get('faults', {}).get('throttle', 0) for one in found['operations'].values())
    true(f'{throttled} throttled', throttled > 100)
    trail = found['operations']['cloudtrail.LookupEvents']
    same('CloudTrail over its rate', trail.get('throttled_by_limit', 0), 0)
    true(f'{found["total"]["peak_in_flight"]} at once', found['total']['peak_in_flight'] <= 32)
    true(f'{found["connections"]}', found['connections']['opened'] < 0.1 * found['total']['requests'] + 64)
    same('roles', found['operations']['sts.AssumeRole']['requests'], 1)
    if watch is None:
        raise Skip('all answered; but the loop was not watched (no libisoq_loop_watch.so, or AddressSanitizer)')
    s.worker.terminate()
    s.worker.wait(60)
    with open(numbers, encoding='ascii') as file:
        loop = json.load(file)
    print(f'  {found["total"]["requests"]} requests, {throttled} throttled; at most {found["total"]["max_per_second"]} a '
          f'second; the loop: {loop}', flush=True)
    true(f'{loop}', loop['turns'] > LOAD_JOBS and loop['max_ms'] <= 50)


# ---- documents


@case
def the_reference_has_every_function_and_permission(s):
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', '..', 'docs', 'bindings.md')
    with open(path, encoding='utf-8') as file:
        text = file.read()
    for word in ('listAccounts', 'listRegions', 'queryResources', 'queryCloudWatchLogEvents', 'getCloudTrailEvents',
                 'organizations:ListAccounts', 'sts:GetCallerIdentity', 'account:ListRegions',
                 'cloudformation:ListResources', 'logs:FilterLogEvents', 'cloudtrail:LookupEvents', 'sts:AssumeRole'):
        true(word, re.search(rf'\b{re.escape(word)}\b', text))
