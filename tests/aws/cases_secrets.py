"""What a job, its executor, its result and the log may know: no credential, and nothing of the machine."""
import glob
import json
import os
import resource
import signal

import data
import rig as rigs
from relay import copies, make_relay
from setting import case, requests, same, true, Skip

OTHER = '444400000007'
KEYS = {'ASIASECRETTEST': {'secret': 'uniqueSECRETofTHEtest/0123456789+', 'token': 'uniqueTOKENofTHEtest//' + 'T0k' * 60}}
# Every function, the error paths, another account; then whatever a script could look at.
EVERYTHING = f'''const all = [];
for (const call of [() => listAccounts(), () => listRegions(), () => queryResources('AWS::EC2::Instance'),
    () => queryResources('AWS::EC2::Instance', '{OTHER}'), () => queryResources('AWS::No::Thing'),
    () => queryCloudWatchLogEvents('/none'), () => getCloudTrailEvents({data.TRAIL_START_S * 1000}),
    () => queryResources('AWS::EC2::Instance', '444400000009')])
  all.push(await attempt(call));
for (const one of all) if (one.requestId) console.log(one.name, one.message, one.requestId);
'''


def secrets_of(s):
    """{what: bytes}: the secrets of every key there is, in the forms in which they could be somewhere."""
    found = {}
    for access_key, key in s.fake.ask('GET', 'keys').items():
        for what in ('secret', 'token'):
            if key.get(what):
                found[f'{what} of {access_key}'] = key[what].encode()
                found[f'{what} of {access_key}, as JSON'] = json.dumps(key[what])[1:-1].replace('/', '\\/').encode()
    return found


def search(s, where, content):
    for what, secret in secrets_of(s).items():
        # Half of one is enough to notice, and less than all of it may be left in reused memory.
        at = content.find(secret[:len(secret) // 2])
        true(f'{where}: the {what}, or its first half, at byte {at}', at < 0)


def environment_with_secrets(s):
    s.fake.keys(**KEYS)
    s.fake.config(roles={'isoq-reader': {'not_in': ['444400000009']}})
    key = KEYS['ASIASECRETTEST']
    return s.bare_environment(AWS_ACCESS_KEY_ID='ASIASECRETTEST', AWS_SECRET_ACCESS_KEY=key['secret'],
                              AWS_SESSION_TOKEN=key['token'])


def resident_memory(pid):
    """(place, bytes) of what was touched, by /proc/PID/pagemap: V8 reserves gigabytes. Needs root."""
    page = os.sysconf('SC_PAGESIZE')
    with open(f'/proc/{pid}/maps', encoding='utf-8') as maps, open(f'/proc/{pid}/mem', 'rb', 0) as memory, \
            open(f'/proc/{pid}/pagemap', 'rb', 0) as pagemap:
        for line in maps:
            start, end = (int(part, 16) for part in line.split()[0].split('-'))
            if start >= 1 << 47:
                continue
            pagemap.seek(start // page * 8)
            flags = pagemap.read((end - start) // page * 8)
            at, run = 0, None
            for at in range(0, len(flags) + 8, 8):
                present = at < len(flags) and flags[at + 7] & 0xc0  # in memory, or swapped
                if present and run is None:
                    run = at
                elif not present and run is not None:
                    try:
                        memory.seek(start + run // 8 * page)
                        yield f'{start + run // 8 * page:x} {line.split()[-1]}', memory.read((at - run) // 8 * page)
                    except OSError:
                        pass  # not readable: guard pages
                    run = None


def search_process(s, pid):
    total = 0
    for where, content in resident_memory(pid):
        total += len(content)
        search(s, f'memory of executor {pid}, {where}', content)
    for name in ('environ', 'cmdline'):
        with open(f'/proc/{pid}/{name}', 'rb') as file:
            search(s, f'{name} of executor {pid}', file.read())
    return total


@case
def secrets_never_leak(s):
    """Results, log at debug level, everything in Redis, the whole memory of the executors while one is in a call."""
    if os.geteuid() != 0:
        raise Skip('reading the memory of an executor needs root')
    s.start_worker(environment_with_secrets(s), executors=1)
    s.submit('everything', EVERYTHING + 'all')
    raw = json.dumps(s.result('everything'))
    same('it worked', [('resolved' in one) for one in json.loads(json.loads(raw)['result'])],
         [True] * 4 + [False] * 2 + [True, False])
    search(s, 'result', raw.encode())
    same('another account', requests(s, 'sts.AssumeRole'), 2)
    s.fake.fault('hang', operation='ListRegions')
    s.submit('waiting', 'const r = await listRegions(); r.length')
    s.fake.wait('operations/account.ListRegions/in_flight', at_least=1)
    children = rigs.children(s.worker.pid)
    true('no executor', children)
    if not rigs.under_asan():  # whose shadow is terabytes
        for pid in children:
            size = search_process(s, pid)
            true(f'only {size} bytes read', size > 5 << 20)
        # The search itself can find: the script's own text is there.
        true('the search finds nothing at all', any(b'listRegions(); r.length' in content for pid in children
                                                    for _, content in resident_memory(pid)))
    s.fake.no_faults()  # else the next page hangs too
    s.fake.release()
    waited = s.result('waiting')
    same('the one that waited', waited['result'], '12')
    search(s, 'result', json.dumps(waited).encode())
    for key in s.redis.keys():
        search(s, f'Redis: {key}', s.redis('DUMP', key))
    s.worker.send_signal(signal.SIGTERM)
    s.worker.wait(60)
    search(s, 'log', s.worker_log().encode())
    true('an empty log', 'everything' in s.worker_log())


@case
def no_secret_in_a_frame(s):
    """Every byte between broker and executor, both ways."""
    folder = os.path.join(s.home, 'frames')
    os.mkdir(folder)
    relay = make_relay(folder, os.path.join(rigs.bin_dir(), 'isoq-executor'))
    result = s.run(EVERYTHING + 'all.length', environment=environment_with_secrets(s), executor_path=relay)
    same('result', (result['status'], result['result']), ('ok', '8'))
    found = copies(folder)
    true('no frames were copied', any(name.startswith('to-executor') and b'RegionName' not in content and b'us-east-1' in
                                      content for name, content in found.items()))
    for name, content in found.items():
        search(s, name, content)


@case
def no_secret_in_a_core(s):
    """A broker that dies writes no core, though it might."""
    environment = environment_with_secrets(s)
    before = resource.getrlimit(resource.RLIMIT_CORE)
    try:
        resource.setrlimit(resource.RLIMIT_CORE, (before[1], before[1]))
        worker = s.start_worker(environment, executors=1)
    finally:
        resource.setrlimit(resource.RLIMIT_CORE, before)
    if before[1] == 0:
        raise Skip('the hard limit of cores is 0 here')
    s.submit('call', 'const r = await listRegions(); r.length')
    same('call', s.result('call')['result'], '12')
    for pid in (*rigs.children(worker.pid), worker.pid):
        rigs.send_signal(pid, signal.SIGABRT)
    info = os.waitid(os.P_PID, worker.pid, os.WEXITED | os.WNOWAIT)
    true('it dumped core', info.si_code != os.CLD_DUMPED)
    same('cores', [path for path in glob.glob(s.rig.path('*core*')) if os.path.isfile(path)], [])


@case
def no_secret_of_files_or_other_sources(s):
    """Keys of a profile, of a role, of IMDS and of a container, when their look-ups fail in the middle."""
    environment = environment_with_secrets(s)
    key = KEYS['ASIASECRETTEST']
    s.file('.aws/credentials', f'[default]\naws_access_key_id = ASIASECRETTEST\naws_secret_access_key = {key["secret"]}\n'
                               f'aws_session_token = {key["token"]}\nno line of a profile {key["secret"]}\n')
    del environment['AWS_ACCESS_KEY_ID'], environment['AWS_SECRET_ACCESS_KEY'], environment['AWS_SESSION_TOKEN']
    running = s.start('const r = await attempt(() => listRegions()); r', environment=environment, log_level='debug')
    out, err = running.process.communicate(timeout=60)
    search(s, 'a file with a mistake', (out + err).encode())
    body = {'kind': 'body', 'text': json.dumps({'AccessKeyId': 'ASIASECRETTEST', 'SecretAccessKey': key['secret'],
                                                'Token': key['token'], 'Expiration': 'not a time'})}
    s.fake.fault(body, operation='GetCredentials')
    os.remove(os.path.join(s.home, '.aws/credentials'))
    for more in ({'AWS_CONTAINER_CREDENTIALS_FULL_URI': s.fake.url + '/v2/credentials/1'},
                 {'AWS_EC2_METADATA_DISABLED': None, 'AWS_EC2_METADATA_SERVICE_ENDPOINT': s.fake.url}):
        running = s.start('const r = await attempt(() => listRegions()); r', environment=s.bare_environment(**more),
                          log_level='debug')
        out, err = running.process.communicate(timeout=60)
        true('an outcome', out)
        search(s, 'a broken answer', (out + err).encode())


@case(refused=True)
def no_secret_in_what_aws_repeats(s):
    """AWS' messages for bad signatures repeat what was signed; and it may repeat more."""
    key = KEYS['ASIASECRETTEST']
    environment = environment_with_secrets(s)
    s.fake.fault({'kind': 'error', 'code': 'InvalidSignatureException', 'status': 403,
                  'message': f'the canonical request was x-amz-security-token:{key["token"]}'}, operation='ListRegions')
    result = s.run('const r = await attempt(() => listRegions()); r', environment=environment)
    search(s, 'result', json.dumps(result).encode())


PROBES = {  # what a script might try; each must give nothing
    'process': 'typeof process', 'require': 'typeof require', 'module': 'typeof module', 'Deno': 'typeof Deno',
    'Bun': 'typeof Bun', 'fetch': 'typeof fetch', 'XMLHttpRequest': 'typeof XMLHttpRequest',
    'WebSocket': 'typeof WebSocket',
    'EventSource': 'typeof EventSource', 'importScripts': 'typeof importScripts', 'Worker': 'typeof Worker',
    'read': 'typeof read', 'load': 'typeof load', 'os': 'typeof os', 'std': 'typeof std',
    'the process of a function': "typeof listRegions.constructor('return process').call === 'function' ? (() => { try { "
                                 "return typeof listRegions.constructor('return process')(); } catch (e) { return "
                                 "'undefined'; } })() : 'undefined'",
}
IMPORTS = ('fs', 'node:fs', 'node:process', 'node:http', '/proc/self/environ', 'file:///proc/self/environ',
           'http://169.254.169.254/latest/meta-data/', 'data:text/javascript,export default 1')


@case
def job_cannot_read_environment_files_or_metadata(s):
    environment = {**environment_with_secrets(s), 'AWS_EC2_METADATA_DISABLED': 'false',
                   'AWS_EC2_METADATA_SERVICE_ENDPOINT': s.fake.url, 'CANARY': 'canary-of-the-environment'}
    probes = ', '.join(f'[{json.dumps(name)}, {code}]' for name, code in PROBES.items())
    imports = ', '.join(f'[{json.dumps(name)}, await import({json.dumps(name)}).then(() => "loaded", () => "undefined")]'
                        for name in IMPORTS)
    found = s.value(f'const r = [{probes}, {imports}]; r', environment=environment)
    same('probes', [name for name, value in found if value != 'undefined'], [])
    same('requests', s.fake.count('total/requests'), 0)
    # The host functions themselves are plain: no properties, no way to the host.
    found = s.value('const f = listRegions; const r = [Object.getOwnPropertyNames(f).sort().join(), String(f).includes('
                    '"native"), Object.getPrototypeOf(f) === Function.prototype]; r', environment=environment)
    true(f'{found}', set(found[0].split(',')) <= {'length', 'name', 'prototype', 'arguments', 'caller'} and found[2])
    # Arguments that look like addresses stay arguments.
    for call in ("queryResources('AWS::EC2::Instance', undefined, '169.254.169.254/')",
                 "queryCloudWatchLogEvents({logGroupName: '/app/web', region: 'x@127.0.0.1:1'})",
                 "queryResources({resourceType: 'AWS::EC2::Instance', accountId: 'arn:aws:iam::1@evil:role/x'})"):
        same(call, s.rejection(call, environment=environment)['name'], 'TypeError')
    same('requests', s.fake.count('total/requests'), 0)
    call = "queryResources({resourceType: 'AWS::EC2::Instance', accountId: '../1@evil/'})"  # may be a name, and is compared
    same(call, s.rejection(call, environment=environment)['name'], 'TypeError')
    same('requests', s.fake.count('total/requests'), requests(s, 'organizations.ListAccounts'))


@case
def the_answers_are_plain_data(s):
    """An answer's members cannot reach the prototypes of the job."""
    properties = '{"__proto__": {"polluted": 1}, "constructor": {"prototype": {"x": 1}}}'
    text = json.dumps({'TypeName': 'AWS::EC2::Instance',
                       'ResourceDescriptions': [{'Identifier': '__proto__', 'Properties': properties}]})
    s.fake.fault({'kind': 'body', 'text': text}, operation='ListResources')
    found = s.value("const r = await queryResources('AWS::EC2::Instance');"
                    "[({}).polluted, ({}).x, r[0].id, Object.keys(r[0].properties).join()]")
    same('data', found, [None, None, '__proto__', '__proto__,constructor'])

