#!/usr/bin/env python3
"""The AWS bindings from end to end: scripts through `isoq run`, and jobs through a real worker and a Redis of its own,
with the fake AWS (fake_aws.py) at the other end.

Each case is a function of cases_*.py and prints one line, `ok name` or `FAILED name: why`; some are skipped, with the
reason, where the machine lacks something. After every case the fake AWS must have refused no signature and understood
every request. --list names the cases, --only NAME runs those whose name has NAME in it. The last line is
"N passed, N failed, N skipped".
"""
import argparse
import os
import sys
import time
import traceback

sys.dont_write_bytecode = True

import setting
from client import Fake, FakeError
from rig import Failure, Rig

import cases_calls
import cases_credentials
import cases_jobs
import cases_network
import cases_secrets

MODULES = (cases_calls, cases_network, cases_credentials, cases_secrets, cases_jobs)  # in this order
SLOW_CASE_S = 60  # slower cases are named


def run_case(one, s, verbose):
    """True, False, or None for skipped."""
    started = time.monotonic()
    try:
        s.begin()
        one(s)
        if not one.refused:
            s.nothing_refused()
    except setting.Skip as reason:
        print(f'skipped {one.__name__}: {reason}', flush=True)
        return None
    except Exception as error:  # whatever it is, the others run
        # Values of Redis, of the log and of AWS may be in it; secrets are the test's own.
        print(f'FAILED {one.__name__}: {type(error).__name__}: {error}', flush=True)
        if verbose or not isinstance(error, (AssertionError, Failure, FakeError)):
            traceback.print_exc(file=sys.stdout)
        return False
    finally:
        s.end()
    took = time.monotonic() - started
    print(f'ok {one.__name__}' + (f' ({took:.0f} s)' if took > SLOW_CASE_S else ''), flush=True)
    return True


def main():
    parser = argparse.ArgumentParser(description='The AWS bindings, end to end.')
    parser.add_argument('--only', action='append', help='cases with this in their name; may be repeated')
    parser.add_argument('--list', action='store_true')
    parser.add_argument('--verbose', action='store_true', help='tracebacks')
    parser.add_argument('--link-local', action='store_true', help=argparse.SUPPRESS)  # see cases_credentials.py
    arguments = parser.parse_args()
    cases = [one for module in MODULES for one in setting.CASES if one.__module__ == module.__name__
             and (not arguments.only or any(part in one.__name__ for part in arguments.only))]
    if arguments.list:
        print('\n'.join(one.__name__ for one in cases))
        return 0
    results = []
    with Rig('isoq-aws-') as rig:
        os.mkdir(rig.path('tls'))
        fake = Fake(bind='0.0.0.0', port=80) if arguments.link_local else Fake(rig.path('tls'))
        s = setting.Setting(rig, fake, arguments.link_local)
        try:
            results = [run_case(one, s, arguments.verbose) for one in cases]
        finally:
            s.close()
    print(f'{results.count(True)} passed, {results.count(False)} failed, {results.count(None)} skipped', flush=True)
    return 1 if False in results or not results else 0


if __name__ == '__main__':
    sys.exit(main())
