"""The operations that the fake AWS answers. Where each shape comes from (AWS' own documents):

  organizations.ListAccounts       AWS Organizations API Reference, "ListAccounts"; AWS JSON 1.1
  sts.GetCallerIdentity            AWS Security Token Service API Reference, "GetCallerIdentity"; Query protocol, XML
  sts.AssumeRole                   the same, "AssumeRole"
  sts.AssumeRoleWithWebIdentity    the same, "AssumeRoleWithWebIdentity"; not signed
  account.ListRegions              AWS Account Management API Reference, "ListRegions"; REST-JSON, POST /listRegions
  cloudcontrol.ListResources       Cloud Control API Reference, "ListResources"; AWS JSON 1.0
  logs.FilterLogEvents             Amazon CloudWatch Logs API Reference, "FilterLogEvents"; AWS JSON 1.1
  cloudtrail.LookupEvents          AWS CloudTrail API Reference, "LookupEvents"; AWS JSON 1.1, times in epoch seconds
  imds.*                           Amazon EC2 User Guide, "Use the Instance Metadata Service to access instance metadata"
                                   and "Retrieve security credentials from instance metadata"
  container.GetCredentials         AWS SDKs and Tools Reference Guide, "Container credential provider"; Amazon ECS
                                   Developer Guide, "Task IAM role"
  errors                           "Common Errors" of each API Reference; Smithy documentation, "AWS JSON 1.0/1.1 protocol",
                                   "AWS restJson1 protocol", "AWS query protocol", each under "Operation error
                                   serialization"

A handler gets the server, the parameters and who asks, and returns a dict (JSON), an XML text (Query) or raises
ServiceError. A page's token holds the place and what was asked: with other parameters, account or region it is refused,
as AWS does.
"""
import base64
import datetime
import json
import re
import secrets
import xml.sax.saxutils

import data

STS_NAMESPACE = 'https://sts.amazonaws.com/doc/2011-06-15/'
GLOBAL_REGIONS = {'aws': 'us-east-1', 'aws-cn': 'cn-northwest-1', 'aws-us-gov': 'us-gov-west-1'}


class ServiceError(Exception):
    def __init__(self, code, message, status=400):
        super().__init__(message)
        self.code, self.status = code, status


def iso_time(seconds):
    return datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc).strftime('%Y-%m-%dT%H:%M:%SZ')


# ---- parameters and pages


def check_members(params, members, code='SerializationException'):
    """`members`: {name: type or types}. An unknown name or a wrong type is refused (AWS ignores unknown names; a client
    under test that sends one has a mistake)."""
    for name, value in params.items():
        if name not in members:
            raise ServiceError(code, f'unexpected member {name}')
        if value is not None and (isinstance(value, bool) or not isinstance(value, members[name])):
            raise ServiceError(code, f'{name} has the wrong type: {value!r}')


def page_size(params, name, most, configured, code):
    asked = params.get(name)
    if asked is None:
        return configured
    if not 1 <= asked <= most:
        raise ServiceError(code, f'{name} must be between 1 and {most}')
    return min(asked, configured)


def page_token(operation, who, asked, offset):
    text = json.dumps([operation, who['account'], who['region'], asked, offset], sort_keys=True)
    return base64.b64encode(text.encode()).decode()


def page_offset(token, operation, who, asked, code):
    if token is None:
        return 0
    try:
        found = json.loads(base64.b64decode(token, validate=True))
    except ValueError:
        raise ServiceError(code, 'NextToken is not valid') from None
    if found[:4] != json.loads(json.dumps([operation, who['account'], who['region'], asked])):
        raise ServiceError(code, 'NextToken belongs to another request')
    return found[4]


def paged(total, offset, size):
    end = min(offset + size, total)
    return range(offset, end), end if end < total else None


# ---- JSON services


def list_accounts(server, params, who):
    check_members(params, {'NextToken': str, 'MaxResults': int})
    mode = server.config['organization']
    if mode == 'none':
        raise ServiceError('AWSOrganizationsNotInUseException', 'Your account is not a member of an organization.')
    if mode != 'management' or who['account'] != data.OWN_ACCOUNT:
        raise ServiceError('AccessDeniedException', "You don't have permissions to access this resource.")
    size = page_size(params, 'MaxResults', 20, server.config['account_page'], 'InvalidInputException')
    offset = page_offset(params.get('NextToken'), 'ListAccounts', who, {}, 'InvalidInputException')
    indexes, rest = paged(server.config['accounts'], offset, size)
    answer = {'Accounts': [data.account(i) for i in indexes]}
    if rest is not None:
        answer['NextToken'] = page_token('ListAccounts', who, {}, rest)
    return answer


def list_regions(server, params, who):
    check_members(params, {'NextToken': str, 'MaxResults': int, 'AccountId': str, 'RegionOptStatusContains': list},
                  'ValidationException')
    wanted = params.get('RegionOptStatusContains')
    size = page_size(params, 'MaxResults', 50, server.config['region_page'], 'ValidationException')
    asked = {'states': wanted}
    offset = page_offset(params.get('NextToken'), 'ListRegions', who, asked, 'ValidationException')
    regions = [data.region(i) for i in range(server.config['regions'])]
    regions = [region for region in regions if not wanted or region['RegionOptStatus'] in wanted]
    indexes, rest = paged(len(regions), offset, size)
    answer = {'Regions': [regions[i] for i in indexes]}
    if rest is not None:
        answer['NextToken'] = page_token('ListRegions', who, asked, rest)
    return answer


def list_resources(server, params, who):
    check_members(params, {'TypeName': str, 'TypeVersionId': str, 'RoleArn': str, 'NextToken': str, 'MaxResults': int,
                           'ResourceModel': str})
    type_name = params.get('TypeName') or ''
    if not re.fullmatch(r'[A-Za-z0-9]{2,64}::[A-Za-z0-9]{2,64}::[A-Za-z0-9]{2,64}(::MODULE)?', type_name):
        raise ServiceError('ValidationException', f"Value '{type_name}' at 'typeName' failed to satisfy constraint")
    if type_name not in server.config['types']:
        raise ServiceError('TypeNotFoundException', f'The type {type_name} does not exist.')
    size = page_size(params, 'MaxResults', 100, server.config['resource_page'], 'ValidationException')
    asked = {'type': type_name}
    offset = page_offset(params.get('NextToken'), 'ListResources', who, asked, 'InvalidRequestException')
    indexes, rest = paged(server.config['resources'], offset, size)
    answer = {'TypeName': type_name, 'ResourceDescriptions': [
        data.resource(who['account'], who['region'], type_name, i) for i in indexes]}
    if rest is not None:
        answer['NextToken'] = page_token('ListResources', who, asked, rest)
    return answer


def pattern_matches(pattern, message):
    """Of CloudWatch's filter patterns, terms and quoted phrases: all of them must occur; -term must not."""
    for minus, phrase, term in re.findall(r'(-?)(?:"([^"]*)"|(\S+))', pattern or ''):
        if ((phrase or term) in message) == bool(minus):
            return False
    return True


def filter_log_events(server, params, who):
    check_members(params, {'logGroupName': str, 'logGroupIdentifier': str, 'logStreamNames': list, 'startTime': int,
                           'logStreamNamePrefix': str, 'endTime': int, 'filterPattern': str, 'nextToken': str,
                           'limit': int})
    group = params.get('logGroupName') or params.get('logGroupIdentifier')
    if not group:
        raise ServiceError('InvalidParameterException', 'logGroupName or logGroupIdentifier is needed')
    if group not in server.config['log_groups']:
        raise ServiceError('ResourceNotFoundException', 'The specified log group does not exist.')
    start, end, pattern = params.get('startTime'), params.get('endTime'), params.get('filterPattern')
    size = page_size(params, 'limit', 10000, server.config['log_page'], 'InvalidParameterException')
    asked = {'group': group, 'start': start, 'end': end, 'pattern': pattern}
    place = page_offset(params.get('nextToken'), 'FilterLogEvents', who, asked, 'InvalidParameterException')
    offset, empty_pages = place or (0, 0)
    answer = {'events': [], 'searchedLogStreams': []}
    if empty_pages:  # "can return an empty page with a nextToken": those before the next full one
        answer['nextToken'] = page_token('FilterLogEvents', who, asked, [offset, empty_pages - 1])
        return answer
    first = 0 if start is None else max(0, -(-(start - data.LOG_START_MS) // 1000))
    past = server.config['log_events']
    past = past if end is None else min(past, (end - data.LOG_START_MS) // 1000 + 1)
    page_past = min(past, first + offset + size)
    for index in range(first + offset, page_past):
        event = data.log_event(who['account'], who['region'], group, index)
        if pattern_matches(pattern, event['message']):
            answer['events'].append(event)
    if page_past < past:
        answer['nextToken'] = page_token('FilterLogEvents', who, asked, [page_past - first,
                                                                         server.config['log_empty_pages']])
    return answer


LOOKUP_KEYS = {'EventId': 'EventId', 'EventName': 'EventName', 'ReadOnly': 'ReadOnly', 'Username': 'Username',
               'EventSource': 'EventSource', 'AccessKeyId': 'AccessKeyId', 'ResourceType': None, 'ResourceName': None}


def lookup_filter(attributes):
    if not attributes:
        return lambda event: True
    if len(attributes) > 1 or set(attributes[0]) != {'AttributeKey', 'AttributeValue'} \
            or attributes[0]['AttributeKey'] not in LOOKUP_KEYS:
        raise ServiceError('InvalidLookupAttributesException', 'You can specify only one lookup attribute')
    key, value = attributes[0]['AttributeKey'], attributes[0]['AttributeValue']
    if LOOKUP_KEYS[key] is None:
        return lambda event: any(resource[key] == value for resource in event['Resources'])
    return lambda event: event[key] == value


def lookup_events(server, params, who):
    check_members(params, {'LookupAttributes': list, 'StartTime': (int, float), 'EndTime': (int, float),
                           'EventCategory': str, 'MaxResults': int, 'NextToken': str})
    start, end = params.get('StartTime'), params.get('EndTime')
    if start is not None and end is not None and start > end:
        raise ServiceError('InvalidTimeRangeException', 'StartTime must be before EndTime.')
    for name, value in (('StartTime', start), ('EndTime', end)):
        if value is not None and value > 1e11:
            raise ServiceError('InvalidTimeRangeException', f'{name} {value} is in milliseconds; epoch seconds are due')
    keep = lookup_filter(params.get('LookupAttributes'))
    size = page_size(params, 'MaxResults', 50, server.config['trail_page'], 'InvalidMaxResultsException')
    asked = {'start': start, 'end': end, 'attributes': params.get('LookupAttributes')}
    offset = page_offset(params.get('NextToken'), 'LookupEvents', who, asked, 'InvalidNextTokenException')
    total = server.config['trail_events']
    events = [data.trail_event(who['account'], who['region'], total, i) for i in range(total)]
    events = [event for event in events if (start is None or event['EventTime'] >= start)
              and (end is None or event['EventTime'] <= end) and keep(event)]
    indexes, rest = paged(len(events), offset, size)
    answer = {'Events': [events[i] for i in indexes]}
    if rest is not None:
        answer['NextToken'] = page_token('LookupEvents', who, asked, rest)
    return answer


# ---- STS


def xml_result(server, operation, inner):
    return (f'<{operation}Response xmlns="{STS_NAMESPACE}">\n  <{operation}Result>\n{inner}  </{operation}Result>\n'
            f'  <ResponseMetadata>\n    <RequestId>{server.request_id}</RequestId>\n  </ResponseMetadata>\n'
            f'</{operation}Response>\n')


def escape(text):
    return xml.sax.saxutils.escape(text)


def get_caller_identity(server, params, who):
    return xml_result(server, 'GetCallerIdentity', f'    <Arn>{escape(who["arn"])}</Arn>\n'
                                                   '    <UserId>AIDAEXAMPLE</UserId>\n'
                                                   f'    <Account>{who["account"]}</Account>\n')


def issue_session(server, role_arn, session, ttl_s):
    """New temporary credentials of the role: they see the role's account."""
    _, partition_, _, _, account, resource = role_arn.split(':', 5)
    return server.issue(account, f'arn:{partition_}:sts::{account}:assumed-role/{resource[5:]}/{session}', ttl_s)


def check_session(params, operation):
    arn, session = params.get('RoleArn', ''), params.get('RoleSessionName', '')
    if not re.fullmatch(r'arn:aws(-cn|-us-gov)?:iam::\d{12}:role/[\w+=,.@/-]{1,128}', arn):
        raise ServiceError('ValidationError', f'{arn} is invalid', 400)
    if not re.fullmatch(r'[\w+=,.@-]{2,64}', session):
        raise ServiceError('ValidationError', f"1 validation error detected: Value '{session}' at 'roleSessionName'", 400)
    if params.get('Version') != '2011-06-15':
        raise ServiceError('InvalidAction', f'Could not find operation {operation} for version {params.get("Version")}')
    duration = params.get('DurationSeconds', '3600')
    if not duration.isdigit() or not 900 <= int(duration) <= 43200:
        raise ServiceError('ValidationError', f'DurationSeconds {duration} is not between 900 and 43200', 400)
    return arn, session, int(duration)


def credentials_xml(access_key, key):
    return (f'    <Credentials>\n      <AccessKeyId>{access_key}</AccessKeyId>\n'
            f'      <SecretAccessKey>{escape(key["secret"])}</SecretAccessKey>\n'
            f'      <SessionToken>{escape(key["token"])}</SessionToken>\n'
            f'      <Expiration>{iso_time(key["expires_at"])}</Expiration>\n    </Credentials>\n')


def user_xml(key):
    return (f'    <AssumedRoleUser>\n      <AssumedRoleId>AROAEXAMPLE:{escape(key["arn"].rpartition("/")[2])}'
            f'</AssumedRoleId>\n      <Arn>{escape(key["arn"])}</Arn>\n    </AssumedRoleUser>\n')


def assume_role(server, params, who):
    arn, session, duration = check_session(params, 'AssumeRole')
    role = server.config['roles'].get(arn.split('/', 1)[1])
    denied = ServiceError('AccessDenied', f'User: {who["arn"]} is not authorized to perform: sts:AssumeRole on resource: '
                                          f'{arn}', 403)
    if role is None or arn.split(':')[4] in role.get('not_in', ()):
        raise denied
    if role.get('external_id') is not None and params.get('ExternalId') != role['external_id']:
        raise denied
    ttl_s = duration if server.config['session_ttl_s'] is None else server.config['session_ttl_s']
    access_key, key = issue_session(server, arn, session, ttl_s)
    return xml_result(server, 'AssumeRole', credentials_xml(access_key, key) + user_xml(key))


def assume_role_with_web_identity(server, params, who):
    arn, session, duration = check_session(params, 'AssumeRoleWithWebIdentity')
    if params.get('WebIdentityToken') != server.config['web_identity_token']:
        raise ServiceError('InvalidIdentityToken', 'No OpenIDConnect provider found in your account for the token', 400)
    ttl_s = duration if server.config['session_ttl_s'] is None else server.config['session_ttl_s']
    access_key, key = issue_session(server, arn, session, ttl_s)
    return xml_result(server, 'AssumeRoleWithWebIdentity', '    <SubjectFromWebIdentityToken>system:serviceaccount:x:y'
                      '</SubjectFromWebIdentityToken>\n    <Audience>sts.amazonaws.com</Audience>\n'
                      + credentials_xml(access_key, key) + user_xml(key))


# ---- Metadata of machines and containers: no signatures


def imds_credentials(server, kind):
    """Those in force; new ones when less than a part of their life is left, as the real service rotates early."""
    settings = server.config[kind]
    key = server.keys.get(server.current.get(kind))
    ttl_s = settings['ttl_s']
    if key is None or key.get('revoked') or key['expires_at'] - server.now() < ttl_s * settings['rotate_at']:
        arn = f'arn:aws:sts::{data.OWN_ACCOUNT}:assumed-role/{settings["role"]}/i-0123456789abcdef0'
        server.current[kind], key = server.issue(data.OWN_ACCOUNT, arn, ttl_s)
    return {'AccessKeyId': server.current[kind], 'SecretAccessKey': key['secret'], 'Token': key['token'],
            'Expiration': iso_time(key['expires_at'])}


def imds(server, request, operation):
    """(status, content type, body)"""
    if operation == 'GetToken':
        ttl = request.header('x-aws-ec2-metadata-token-ttl-seconds')
        if not (ttl or '').isdigit() or not 1 <= int(ttl) <= 21600:
            return 400, 'text/plain', b'a TTL is needed'
        if request.header('x-forwarded-for') is not None:
            return 403, 'text/plain', b'no proxies'
        token = secrets.token_urlsafe(32)
        server.imds_tokens[token] = server.now() + min(int(ttl), server.config['imds']['token_ttl_s'])
        return 200, 'text/plain', token.encode()
    token = request.header('x-aws-ec2-metadata-token')
    if server.imds_tokens.get(token, 0) < server.now():
        server.count('imds', 'v1_refused' if token is None else 'bad_token')
        return 401, 'text/html', b'<html>Unauthorized</html>'
    role = server.config['imds']['role']
    if operation == 'GetRoleName' and role:
        return 200, 'text/plain', role.encode()
    if operation == 'GetCredentials' and role and request.path.rpartition('/')[2] == role:
        body = {'Code': 'Success', 'LastUpdated': iso_time(server.now()), 'Type': 'AWS-HMAC',
                **imds_credentials(server, 'imds')}
        return 200, 'text/plain', json.dumps(body, indent=2).encode()
    if operation == 'Other' and request.path == '/latest/meta-data/placement/region':
        return 200, 'text/plain', server.config['imds']['region'].encode()
    return 404, 'text/html', b'<html>Not Found</html>'


def container(server, request, operation):
    wanted = server.config['container']['authorization']
    if wanted is not None and request.header('authorization') != wanted:
        server.count('container', 'unauthorized')
        return 401, 'application/json', json.dumps({'code': 'Unauthorized', 'message': 'wrong token'}).encode()
    body = {'RoleArn': f'arn:aws:iam::{data.OWN_ACCOUNT}:role/task', **imds_credentials(server, 'container')}
    return 200, 'application/json', json.dumps(body).encode()


class Operation:
    def __init__(self, protocol, scope, handler, is_global=False, signed=True, throttle=('ThrottlingException', 400)):
        self.protocol, self.scope, self.handler = protocol, scope, handler
        self.is_global, self.signed, self.throttle = is_global, signed, throttle


OPERATIONS = {
    'organizations.ListAccounts': Operation('json1.1', 'organizations', list_accounts, is_global=True,
                                            throttle=('TooManyRequestsException', 400)),
    'sts.GetCallerIdentity': Operation('query', 'sts', get_caller_identity, throttle=('Throttling', 400)),
    'sts.AssumeRole': Operation('query', 'sts', assume_role, throttle=('Throttling', 400)),
    'sts.AssumeRoleWithWebIdentity': Operation('query', 'sts', assume_role_with_web_identity, signed=False,
                                               throttle=('Throttling', 400)),
    'account.ListRegions': Operation('rest', 'account', list_regions, is_global=True,
                                     throttle=('TooManyRequestsException', 429)),
    'cloudcontrol.ListResources': Operation('json1.0', 'cloudcontrolapi', list_resources),
    'logs.FilterLogEvents': Operation('json1.1', 'logs', filter_log_events),
    'cloudtrail.LookupEvents': Operation('json1.1', 'cloudtrail', lookup_events),
    'imds.GetToken': Operation('plain', None, imds, signed=False),
    'imds.GetRoleName': Operation('plain', None, imds, signed=False),
    'imds.GetCredentials': Operation('plain', None, imds, signed=False),
    'imds.Other': Operation('plain', None, imds, signed=False),
    'container.GetCredentials': Operation('plain', None, container, signed=False),
}
TARGETS = {
    'AWSOrganizationsV20161128.ListAccounts': 'organizations.ListAccounts',
    'CloudApiService.ListResources': 'cloudcontrol.ListResources',
    'Logs_20140328.FilterLogEvents': 'logs.FilterLogEvents',
    'com.amazonaws.cloudtrail.v20131101.CloudTrail_20131101.LookupEvents': 'cloudtrail.LookupEvents',
    'CloudTrail_20131101.LookupEvents': 'cloudtrail.LookupEvents',
}
CONTENT_TYPES = {'json1.0': 'application/x-amz-json-1.0', 'json1.1': 'application/x-amz-json-1.1',
                 'rest': 'application/json', 'query': 'application/x-www-form-urlencoded'}
AUTH_ERRORS = {  # kind: (code of JSON services, code of Query services)
    'missing': ('MissingAuthenticationTokenException', 'MissingAuthenticationToken'),
    'incomplete': ('IncompleteSignatureException', 'IncompleteSignature'),
    'unknown_key': ('UnrecognizedClientException', 'InvalidClientTokenId'),
    'expired': ('ExpiredTokenException', 'ExpiredToken'),
    'mismatch': ('InvalidSignatureException', 'SignatureDoesNotMatch'),
    'skewed': ('InvalidSignatureException', 'SignatureDoesNotMatch'),
    'scope': ('InvalidSignatureException', 'SignatureDoesNotMatch'),
}
