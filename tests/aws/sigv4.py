"""AWS Signature Version 4, to check requests with: written from AWS' document "Signature Version 4 signing process"
(IAM User Guide: "Create a signed AWS API request", "Elements of an AWS API request signature", "Troubleshoot signature
errors") and from nothing else, so that a mistake of the client under test cannot hide by being made here too.
test_fake_aws.py holds it against the two worked examples that AWS published.

The rules, in that document's order:

  canonical request   method, path, query, headers, names of the signed headers, hash of the payload, a line each
  string to sign      AWS4-HMAC-SHA256, time, scope (date/region/service/aws4_request), hash of the canonical request
  key                 HMAC chain: "AWS4" + secret -> date -> region -> service -> "aws4_request"
  signature           HMAC(key, string to sign), in hexadecimal
"""
import calendar
import hashlib
import hmac
import re
import time
import urllib.parse

ALGORITHM = 'AWS4-HMAC-SHA256'
UNRESERVED = '-_.~'  # besides letters and digits


class AuthError(Exception):
    """kind: missing, incomplete, unknown_key, expired, mismatch, skewed, scope."""

    def __init__(self, kind, message):
        super().__init__(message)
        self.kind = kind


def sha256_hex(data):
    return hashlib.sha256(data).hexdigest()


def encode(text, safe=''):
    return urllib.parse.quote(text, safe=UNRESERVED + safe)


def canonical_uri(raw_path):
    """The path as it was sent, with "." and ".." resolved and each segment encoded once more (every service but S3)."""
    segments = []
    for segment in raw_path.split('/')[1:]:
        if segment == '..':
            segments = segments[:-1]
        elif segment not in ('', '.'):
            segments.append(encode(segment))
    tail = '/' if raw_path.endswith('/') and segments else ''
    return '/' + '/'.join(segments) + tail


def canonical_query(raw_query):
    """Pairs, each name and value encoded, sorted by name and then by value; a name alone has an empty value."""
    pairs = []
    for part in raw_query.split('&') if raw_query else []:
        name, _, value = part.partition('=')
        pairs.append((encode(urllib.parse.unquote(name)), encode(urllib.parse.unquote(value))))
    return '&'.join(f'{name}={value}' for name, value in sorted(pairs))


def canonical_headers(headers, signed):
    """`headers`: pairs as received. Values are trimmed, runs of spaces become one, repeated ones are joined by commas."""
    lines = []
    for name in signed:
        values = [re.sub(' +', ' ', value.strip()) for key, value in headers if key.lower() == name]
        if not values:
            raise AuthError('mismatch', f"'{name}' is a signed header, but the request has none")
        lines.append(f'{name}:{",".join(values)}\n')
    return ''.join(lines)


def canonical_request(method, raw_path, raw_query, headers, signed, payload_hash):
    return '\n'.join([method, canonical_uri(raw_path), canonical_query(raw_query), canonical_headers(headers, signed),
                      ';'.join(signed), payload_hash])


def string_to_sign(amz_date, scope, canonical):
    return '\n'.join([ALGORITHM, amz_date, scope, sha256_hex(canonical.encode())])


def signing_key(secret, date, region, service):
    key = ('AWS4' + secret).encode()
    for part in (date, region, service, 'aws4_request'):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return key


def signature(secret, scope, to_sign):
    return hmac.new(signing_key(secret, *scope.split('/')[:3]), to_sign.encode(), hashlib.sha256).hexdigest()


def one_header(headers, name):
    values = [value.strip() for key, value in headers if key.lower() == name]
    if len(values) > 1:
        raise AuthError('incomplete', f'{name} appears {len(values)} times')
    return values[0] if values else None


def parse_authorization(value):
    """(access key, date, region, service, [signed headers], signature)."""
    match = re.fullmatch(r'AWS4-HMAC-SHA256 +Credential=([^, ]+), *SignedHeaders=([^, ]+), *Signature=([^, ]+)', value)
    if not match:
        raise AuthError('incomplete', "Authorization header requires 'Credential', 'SignedHeaders' and 'Signature'")
    parts = match.group(1).split('/')
    if len(parts) != 5 or parts[4] != 'aws4_request' or not re.fullmatch(r'\d{8}', parts[1]):
        raise AuthError('incomplete', f'Credential must be <key>/<date>/<region>/<service>/aws4_request: {match.group(1)}')
    if not re.fullmatch('[0-9a-f]{64}', match.group(3)):
        raise AuthError('incomplete', 'Signature must be 64 hexadecimal digits in lower case')
    return parts[0], parts[1], parts[2], parts[3], match.group(2).split(';'), match.group(3)


def check_signed_names(headers, signed):
    """Host, every x-amz-* header and the content type must be covered, in lower case, sorted, none twice."""
    if signed != sorted(set(signed)) or any(name != name.lower() for name in signed):
        raise AuthError('mismatch', f'SignedHeaders must be lower case, sorted and unique: {";".join(signed)}')
    present = {key.lower() for key, _ in headers}
    must = {'host'} | {name for name in present if name.startswith('x-amz-')} | ({'content-type'} & present)
    missing = must - set(signed)
    if missing:
        raise AuthError('mismatch', f'not signed, but must be: {", ".join(sorted(missing))}')


def check_time(amz_date, scope_date, now, window_s):
    if not amz_date or not re.fullmatch(r'\d{8}T\d{6}Z', amz_date):
        raise AuthError('incomplete', "a valid 'X-Amz-Date' is needed, as 20150830T123600Z")
    if amz_date[:8] != scope_date:
        raise AuthError('mismatch', f'Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date: '
                                    f'{scope_date} != {amz_date[:8]}')
    sent = calendar.timegm(time.strptime(amz_date, '%Y%m%dT%H%M%SZ'))
    if sent < now - window_s:
        raise AuthError('skewed', f'Signature expired: {amz_date} is now earlier than '
                                  f'{time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now - window_s))}')
    if sent > now + window_s:
        raise AuthError('skewed', f'Signature not yet current: {amz_date} is still later than '
                                  f'{time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now + window_s))}')


def check_token(key, headers, signed):
    token = one_header(headers, 'x-amz-security-token')
    if (key.get('token') or None) != token:
        raise AuthError('unknown_key', 'The security token included in the request is invalid')
    if token is not None and 'x-amz-security-token' not in signed:
        raise AuthError('mismatch', 'x-amz-security-token is not signed')


def verify(method, raw_path, raw_query, headers, body, keys, now, window_s=300):
    """The key's record, with `region` and `service` of the scope; raises AuthError. `keys`: {access key: {secret, token,
    expires_at, revoked, …}}."""
    authorization = one_header(headers, 'authorization')
    if authorization is None:
        raise AuthError('missing', 'Missing Authentication Token')
    access_key, date, region, service, signed, given = parse_authorization(authorization)
    check_signed_names(headers, signed)
    key = keys.get(access_key)
    if key is None or key.get('revoked'):
        raise AuthError('unknown_key', 'The security token included in the request is invalid')
    amz_date = one_header(headers, 'x-amz-date')
    check_time(amz_date, date, now, window_s)
    check_token(key, headers, signed)
    payload_hash = sha256_hex(body)
    declared = one_header(headers, 'x-amz-content-sha256')
    if declared is not None and declared != payload_hash:
        raise AuthError('mismatch', f'x-amz-content-sha256 is {declared}, the body has {payload_hash}')
    scope = f'{date}/{region}/{service}/aws4_request'
    canonical = canonical_request(method, raw_path, raw_query, headers, signed, payload_hash)
    if not hmac.compare_digest(signature(key['secret'], scope, string_to_sign(amz_date, scope, canonical)), given):
        raise AuthError('mismatch', 'The request signature we calculated does not match the signature you provided. Check '
                                    'your AWS Secret Access Key and signing method. Canonical request:\n' + canonical)
    if key.get('expires_at') is not None and now >= key['expires_at']:
        raise AuthError('expired', 'The security token included in the request is expired')
    return {**key, 'access_key': access_key, 'region': region, 'service': service}
