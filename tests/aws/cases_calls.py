"""The five functions: what they give, how they are called, what they refuse, how much they may use."""
import json

import data
from setting import accounts, case, holds, requests, resource_objects, same, true

LOGS = data.LOG_START_MS
TRAIL = data.TRAIL_START_S * 1000
EVERY_CALL = {  # an operation, and a call that asks it
    'organizations.ListAccounts': 'listAccounts()',
    'account.ListRegions': 'listRegions()',
    'cloudcontrol.ListResources': "queryResources('AWS::EC2::Instance')",
    'logs.FilterLogEvents': f"queryCloudWatchLogEvents('/app/web', {LOGS}, {LOGS + 5000})",
    'cloudtrail.LookupEvents': f'getCloudTrailEvents({TRAIL}, {TRAIL + 9000})',
}


@case
def list_accounts_all_pages(s):
    s.fake.config(accounts=45)
    same('accounts', s.value('const r = await listAccounts(); r'), accounts(45))
    same('requests', requests(s, 'organizations.ListAccounts'), 3)


@case
def falls_back_to_own_account(s):
    for mode in ('denied', 'none'):
        s.fake.reset(organization=mode)
        found = s.value('const r = await listAccounts(); r')
        same(mode, [account['id'] for account in found], [data.OWN_ACCOUNT])
        same('members', sorted(found[0]), ['email', 'id', 'name', 'status'])
        same('asked', requests(s, 'sts.GetCallerIdentity'), 1)


@case
def other_errors_do_not_fall_back(s):
    s.fake.fault({'kind': 'error', 'code': 'InvalidInputException'}, operation='ListAccounts')
    same('name', s.rejection('listAccounts()')['name'], 'InvalidInputException')
    same('identity', requests(s, 'sts.GetCallerIdentity'), 0)


@case
def list_regions_all_pages(s):
    found = s.value('const r = await listRegions(); r')
    same('regions', found, [{'name': r['RegionName'], 'status': r['RegionOptStatus']} for r in map(data.region, range(12))])
    same('requests', requests(s, 'account.ListRegions'), 3)


@case
def query_resources_all_pages(s):
    found = s.value(f"const r = await queryResources('AWS::EC2::Instance', '{data.OWN_ACCOUNT}', 'eu-west-1'); r")
    same('resources', found, resource_objects(data.OWN_ACCOUNT, 'eu-west-1', 230))
    same('requests', requests(s, 'cloudcontrol.ListResources'), 3)
    same('region', s.fake.count('operations/cloudcontrol.ListResources/regions'), {'eu-west-1': 3})


@case
def own_account_has_its_number(s):
    """Also when the script named none: a list over several accounts must tell whose each resource is."""
    s.fake.config(resources=2)
    found = s.value("const r = await queryResources('AWS::EC2::Instance'); r")
    same('resources', found, resource_objects(data.OWN_ACCOUNT, 'us-east-1', 2))


@case
def query_log_events_all_pages_empty_ones_too(s):
    s.fake.config(log_page=7, log_empty_pages=2)
    found = s.value(f"const r = await queryCloudWatchLogEvents('/app/web', {LOGS + 5000}, {LOGS + 34000}, 'ERROR'); r")
    wanted = [data.log_event(data.OWN_ACCOUNT, 'us-east-1', '/app/web', i) for i in range(6, 35, 3)]
    members = ('timestamp', 'message', 'ingestionTime', 'logStreamName', 'eventId')
    same('events', found, [{key: event[key] for key in members} for event in wanted])
    true('empty pages', requests(s, 'logs.FilterLogEvents') >= 9)


@case
def trail_events_all_pages_newest_first(s):
    found = s.value(f'const r = await getCloudTrailEvents({TRAIL + 10000}, {TRAIL + 119000}, "ConsoleLogin");'
                    'r.map((e) => ({...e, eventTime: new Date(e.eventTime).getTime()}))')
    wanted = [data.trail_event(data.OWN_ACCOUNT, 'us-east-1', 120, i) for i in range(110)]
    wanted = [event for event in wanted if event['EventName'] == 'ConsoleLogin']
    for key, member in (('eventId', 'EventId'), ('eventName', 'EventName'), ('eventSource', 'EventSource'),
                        ('username', 'Username')):
        same(key, [event[key] for event in found], [event[member] for event in wanted])
    same('eventTime', [event['eventTime'] for event in found], [event['EventTime'] * 1000 for event in wanted])
    same('event', [event['event'] for event in found], [json.loads(event['CloudTrailEvent']) for event in wanted])
    for event, one in zip(found, wanted):
        same('resources', len(event['resources']), len(one['Resources']))
        for resource in one['Resources']:
            holds('resources', json.dumps(event['resources']), resource['ResourceName'], resource['ResourceType'])


@case
def positional_and_object_form(s):
    pairs = (
        ('listAccounts()', 'listAccounts({})'),
        ('listRegions()', 'listRegions({})'),
        (f"queryResources('AWS::S3::Bucket', '{data.OWN_ACCOUNT}', 'eu-west-1')",
         f"queryResources({{resourceType: 'AWS::S3::Bucket', accountId: '{data.OWN_ACCOUNT}', region: 'eu-west-1'}})"),
        (f"queryCloudWatchLogEvents('/app/web', {LOGS}, {LOGS + 20000}, 'ERROR')",
         f"queryCloudWatchLogEvents({{logGroupName: '/app/web', startTime: {LOGS}, endTime: {LOGS + 20000}, "
         "filterPattern: 'ERROR'})"),
        (f"getCloudTrailEvents({TRAIL}, {TRAIL + 20000}, 'ConsoleLogin')",
         f"getCloudTrailEvents({{eventName: 'ConsoleLogin', endTime: {TRAIL + 20000}, startTime: {TRAIL}}})"),
    )
    calls = ', '.join(f'[await {one}, await {other}]' for one, other in pairs)
    for (one, _), (first, second) in zip(pairs, s.value(f'const r = [{calls}]; r')):
        same(one, second, first)
        true(f'{one}: nothing', first)


@case
def times_in_three_forms(s):
    forms = [f'{LOGS}, {LOGS + 20000}', f'new Date({LOGS}), new Date({LOGS + 20000})',
             f'new Date({LOGS}).toISOString(), new Date({LOGS + 20000}).toISOString()',
             "'2023-11-14T22:13:20Z', '2023-11-14T23:13:40+01:00'"]
    calls = ', '.join(f"[await queryCloudWatchLogEvents('/app/web', {form}), await getCloudTrailEvents({form})]"
                      for form in forms)
    found = s.value(f'const r = [{calls}]; r')
    same('events', [len(found[0][0]), len(found[0][1])], [21, 21])
    for form, answers in zip(forms, found):
        same(form, answers, found[0])


BAD_CALLS = (  # call, what the message must name
    ('queryResources()', ('resourceType', 'queryResources(')),
    ('queryResources(5)', ('resourceType',)),
    ('queryResources(null)', ('resourceType',)),
    ("queryResources('')", ('resourceType',)),
    ("queryResources({resourceType: 'AWS::EC2::Instance', regoin: 'us-east-1'})", ('regoin',)),
    ("queryResources('AWS::EC2::Instance', undefined, 'us east')", ('region',)),
    ("queryResources('AWS::EC2::Instance', undefined, 'evil.example/#')", ('region',)),
    ("queryResources('AWS::EC2::Instance', undefined, 'us-east-1', 1, 2, 3)", ('queryResources(',)),
    ("queryResources('AWS::EC2::Instance', 'a:role/../x')", ('accountId',)),
    ("queryResources('AWS::EC2::Instance', 111122223333)", ('accountId',)),
    ("queryResources('AWS::EC2::Instance', '11112222333')", ('accountId', '12 digits')),
    ('queryCloudWatchLogEvents()', ('logGroupName', 'queryCloudWatchLogEvents(')),
    ("queryCloudWatchLogEvents('/app/web', 'yesterday')", ('startTime', 'ISO 8601')),
    ("queryCloudWatchLogEvents('/app/web', 0, NaN)", ('argument 3', 'NaN')),
    ("queryCloudWatchLogEvents('/app/web', new Date('no date'))", ('argument 2', 'invalid Date')),
    ("queryCloudWatchLogEvents({logGroupName: '/app/web', endTime: new Date('no date')})", ('endTime', 'invalid Date')),
    ("queryCloudWatchLogEvents({logGroupName: '/app/web', filterPattern: 7})", ('filterPattern',)),
    ('getCloudTrailEvents({startTime: true})', ('startTime',)),
    ("getCloudTrailEvents(0, 1, ['ConsoleLogin'])", ('eventName',)),
    ('getCloudTrailEvents(2000, 1000)', ('startTime', 'endTime')),
    ('listAccounts({limit: -1})', ('limit',)),
    ("listAccounts({limit: '5'})", ('limit',)),
    ('listRegions({limit: 1.5})', ('limit',)),
    ('listRegions({states: []})', ('states',)),
)


@case
def argument_errors_are_type_errors(s):
    calls = ', '.join(f'await attempt(() => {call})' for call, _ in BAD_CALLS)
    wrong = []
    for (call, parts), found in zip(BAD_CALLS, s.value(f'const r = [{calls}]; r')):
        if not found.get('isTypeError') or found['name'] != 'TypeError' \
                or not all(part in found['message'] for part in parts):
            wrong.append(f'{call}: {str(found)[:200]}')
    same('not as they should be', wrong, [])
    same('requests', s.fake.count('total/requests'), 0)


@case
def limit(s):
    s.fake.config(accounts=45, resources=1200, log_events=1200, log_empty_pages=0)
    found = s.value(f'''
      const r = {{
        accounts: await listAccounts({{limit: 5}}),
        resources: (await queryResources('AWS::EC2::Instance')).length,
        more: (await queryResources({{resourceType: 'AWS::EC2::Instance', limit: 1100}})).length,
        logs: (await queryCloudWatchLogEvents({{logGroupName: '/app/web', startTime: {LOGS}, limit: 700}})).length,
        trail: (await getCloudTrailEvents({{startTime: {TRAIL}, endTime: {TRAIL + 200000}, limit: 60}})).length,
        regions: await listRegions({{limit: 100}}),
      }}; r''')
    same('accounts', found['accounts'], accounts(5))
    same('the others', [found[key] for key in ('resources', 'more', 'logs', 'trail')], [1000, 1100, 700, 60])
    same('fewer than the limit', len(found['regions']), 12)
    same('no page too many', requests(s, 'organizations.ListAccounts'), 1)


@case
def parallel_calls_by_region(s):
    s.fake.config(resources=3)
    s.fake.fault('hang', operation='ListResources')
    running = s.start('''
      const regions = ['us-east-1', 'us-west-2', 'eu-west-1', 'eu-central-1', 'ap-south-1', 'sa-east-1'];
      const resourceType = 'AWS::EC2::Instance';
      const r = await Promise.all(regions.map((region) => queryResources({resourceType, region}))); r''')
    same('at once', s.fake.wait('operations/cloudcontrol.ListResources/in_flight', at_least=6), 6)
    s.fake.release()
    regions = ('us-east-1', 'us-west-2', 'eu-west-1', 'eu-central-1', 'ap-south-1', 'sa-east-1')
    found = [[(one['region'], one['properties']) for one in answer] for answer in s.value_of(running.finish())]
    same('answers', found, [[(where, one['properties']) for one in resource_objects(data.OWN_ACCOUNT, where, 3)]
                            for where in regions])


@case
def more_calls_than_the_limit_wait(s):
    s.fake.config(resources=1)
    s.fake.fault('hang', operation='ListResources')
    running = s.start("const r = await Promise.all(Array.from({length: 9}, () => queryResources('AWS::EC2::Instance')));"
                      'r.map((x) => x.length)', max_parallel_calls=3)
    for batch in (3, 6, 9):
        s.fake.wait('operations/cloudcontrol.ListResources/requests', at_least=batch)
        s.fake.release()
    same('answers', s.value_of(running.finish()), [1] * 9)
    same('peak', s.fake.count('operations/cloudcontrol.ListResources/peak_in_flight'), 3)


@case
def requests_of_all_jobs_have_a_limit(s):
    s.fake.config(resources=1)
    s.fake.fault('hang', operation='ListResources')
    running = s.start("const r = await Promise.all(Array.from({length: 8}, () => queryResources('AWS::EC2::Instance')));"
                      'r.length', max_parallel_calls=8, aws_max_requests=2)
    for batch in (2, 4, 6, 8):
        s.fake.wait('operations/cloudcontrol.ListResources/requests', at_least=batch)
        s.fake.release()
    same('answers', s.value_of(running.finish()), 8)
    same('peak', s.fake.count('operations/cloudcontrol.ListResources/peak_in_flight'), 2)


@case
def calls_have_a_budget(s):
    found = s.value('const r = []; for (let i = 0; i < 5; i++) r.push(await attempt(() => listRegions())); r', max_calls=3)
    same('resolved', ['resolved' in one for one in found], [True] * 3 + [False] * 2)
    holds('message', found[3]['message'], '3', 'max_calls')
    same('requests', requests(s, 'account.ListRegions'), 9)


@case
def bytes_have_a_budget(s):
    found = s.value('''const r = []; for (let i = 0; i < 12; i++) r.push(await attempt(() =>
      queryResources('AWS::EC2::Instance').then((x) => x.length))); r''', max_total_answer_bytes=150000)
    last = found[-1]
    true(f'all resolved: {found}', 'resolved' not in last)
    true('the first did not', found[0] == {'resolved': 230})
    holds('message', last['message'], '150000')
    true('it read on', s.fake.count('total/requests') < 24)


@case
def too_large_answer_rejects(s):
    found = s.value("const r = [await attempt(() => queryResources('AWS::EC2::Instance')), await attempt(() => "
                    "queryResources({resourceType: 'AWS::EC2::Instance', limit: 3}))]; r", max_answer_bytes=20000)
    true(f'truncated? {found[0]}', 'resolved' not in found[0])
    holds('message', found[0]['message'], '20000')
    same('a smaller one', len(found[1].get('resolved', [])), 3)


@case
def errors_have_name_status_request_id(s):
    for operation, call in EVERY_CALL.items():
        for code, status, retryable in (('AccessDeniedException', 403, False), ('ValidationException', 400, False)):
            if operation == 'organizations.ListAccounts' and code == 'AccessDeniedException':
                continue  # falls back
            s.fake.no_faults()
            s.fake.fault({'kind': 'error', 'code': code, 'status': status, 'message': f'nö "{code}"'},
                         operation=operation.split('.')[1])
            before = requests(s, operation)
            found = s.rejection(call)
            same(operation, {key: found[key] for key in ('name', 'message', 'statusCode', 'retryable')},
                 {'name': code, 'message': f'nö "{code}"', 'statusCode': status, 'retryable': retryable})
            same('requestId', found['requestId'], s.fake.log()[-1]['request_id'])
            same('not retried', requests(s, operation), before + 1)


@case
def errors_of_sts_are_read_from_xml(s):
    s.fake.config(organization='denied')
    s.fake.fault({'kind': 'error', 'code': 'RegionDisabledException', 'status': 403, 'message': 'a < b & "c"'},
                 service='sts')
    found = s.rejection('listAccounts()')
    same('error', (found['name'], found['message'], found['statusCode']), ('RegionDisabledException', 'a < b & "c"', 403))
    same('requestId', found['requestId'], s.fake.log()[-1]['request_id'])


@case
def errors_that_nobody_made_readable(s):
    """Of a proxy, say: no JSON in it, and no type."""
    for status, retryable in ((403, False), (502, True)):
        s.fake.no_faults()
        s.fake.fault({'kind': 'error', 'code': '', 'message': '', 'status': status}, operation='LookupEvents')
        found = s.rejection(EVERY_CALL['cloudtrail.LookupEvents'])
        same('status', (found['statusCode'], found['retryable']), (status, retryable))


@case
def unknown_types_and_groups_reject(s):
    same('type', s.rejection("queryResources('AWS::No::Thing')")['name'], 'TypeNotFoundException')
    same('group', s.rejection("queryCloudWatchLogEvents('/none')")['name'], 'ResourceNotFoundException')


@case
def at_the_desk(s):
    """The line of the issue, printed for a person."""
    import subprocess
    done = subprocess.run([s.isoq, 'run', '-e', 'const r = await listRegions(); r.map(x => x.name)'], cwd=s.home,
                          env=s.environment(), stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
    same('exit', (done.returncode, done.stderr), (0, ''))
    found = json.loads(done.stdout)
    same('names', found, [data.region(i)['RegionName'] for i in range(12)])
