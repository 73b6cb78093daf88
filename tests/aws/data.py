"""What the fake AWS knows: the same every time, and different for every account and region, so that a test can compute
what it must be given, and notice an answer of the wrong account."""
import hashlib
import json

OWN_ACCOUNT = '111122223333'
REGIONS = ('us-east-1', 'us-east-2', 'us-west-1', 'us-west-2', 'eu-central-1', 'eu-west-1', 'eu-west-2', 'ap-south-1',
           'ap-southeast-2', 'ap-northeast-1', 'sa-east-1', 'ca-central-1')
REGION_STATES = ('ENABLED_BY_DEFAULT', 'ENABLED', 'DISABLED', 'ENABLING', 'DISABLING')
LOG_START_MS = 1_700_000_000_000
TRAIL_START_S = 1_700_000_000
EVENT_NAMES = ('RunInstances', 'ConsoleLogin', 'AssumeRole', 'PutBucketPolicy')


def stable_id(*parts):
    return hashlib.sha256('/'.join(map(str, parts)).encode()).hexdigest()


def partition(region):
    return 'aws-cn' if region.startswith('cn-') else 'aws-us-gov' if region.startswith('us-gov-') else 'aws'


def account(index):
    number = OWN_ACCOUNT if index == 0 else f'{444400000000 + index}'
    return {'Id': number, 'Arn': f'arn:aws:organizations::{OWN_ACCOUNT}:account/o-exampleorgid/{number}',
            'Email': f'team{index}@example.com', 'Name': 'acct' if index == 0 else f'Team {index} – “prod” & <test>',
            'Status': ('ACTIVE', 'ACTIVE', 'ACTIVE', 'SUSPENDED')[index % 4],
            'State': ('ACTIVE', 'ACTIVE', 'ACTIVE', 'SUSPENDED')[index % 4],
            'JoinedMethod': 'CREATED', 'JoinedTimestamp': 1_600_000_000.123 + index}


def region(index):
    name = REGIONS[index] if index < len(REGIONS) else f'xx-test-{index}'
    return {'RegionName': name, 'RegionOptStatus': REGION_STATES[index % len(REGION_STATES)]}


def resource_properties(owner, where, type_name, index):
    identifier = 'i-' + stable_id(owner, where, type_name, index)[:17]
    return {'InstanceId': identifier, 'OwnerId': owner, 'Region': where, 'Index': index,
            'Tags': [{'Key': 'Name', 'Value': f'höst "{index}" \\ \u2028 \U0001f600'}]}


def resource(owner, where, type_name, index):
    properties = resource_properties(owner, where, type_name, index)
    return {'Identifier': properties['InstanceId'], 'Properties': json.dumps(properties)}


def log_message(index):
    return f'{"ERROR" if index % 3 == 0 else "INFO"} request {index}: "quoted"\ttab \u00e9\u4e16 {{"n": {index}}}'


def log_event(owner, where, group, index):
    """The text is the same everywhere; the stream says where it is from."""
    return {'eventId': f'{37000000000000000000000000000000000000000000000000000000 + index}',
            'ingestionTime': LOG_START_MS + index * 1000 + 37, 'logStreamName': f'{owner}/{where}/{index % 4}',
            'message': log_message(index), 'timestamp': LOG_START_MS + index * 1000}


def trail_event(owner, where, total, position):
    """Newest first: position 0 is the newest of `total`, one a second."""
    index = total - 1 - position
    name = EVENT_NAMES[index % len(EVENT_NAMES)]
    when = TRAIL_START_S + index
    event_id = stable_id('trail', owner, where, index)[:32]
    inner = {'eventVersion': '1.08', 'eventName': name, 'awsRegion': where, 'recipientAccountId': owner,
             'eventID': event_id, 'requestParameters': {'index': index, 'note': 'ä "b" \\ c'}}
    return {'EventId': event_id, 'EventName': name, 'ReadOnly': 'false', 'AccessKeyId': 'AKIAIOSFODNN7EXAMPLE',
            'EventTime': float(when), 'EventSource': 'ec2.amazonaws.com', 'Username': f'user{index % 5}',
            'Resources': [{'ResourceType': 'AWS::EC2::Instance', 'ResourceName': f'i-{index:08x}'}] if index % 2 else [],
            'CloudTrailEvent': json.dumps(inner)}
