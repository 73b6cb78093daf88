#!/usr/bin/env python3
"""isoq beside its peers, in one run, as ratios: `make bench` runs it and writes bench/RESULTS.md.

Every round runs each variant once, in an order that turns, so that a machine which is slow for a while is slow for all
of them; the medians over the rounds are compared. What each part measures stands at the top of its file: engine.py,
end_to_end.py, growth.py. It talks to sockets in folders of its own, and ends only what it started; npm is asked once,
for the peers (peers.py). A peer that gives a wrong result ends the run.
"""
import argparse
import os
import sys
import time

sys.dont_write_bytecode = True
import end_to_end  # noqa: E402
import engine  # noqa: E402
import growth  # noqa: E402
import peers  # noqa: E402
from report import Report  # noqa: E402
from support import Failure, Settings, bench_program, executor_program  # noqa: E402

SHOWN = ('jobs_per_s', 'ms_per_job', 'p50_ms', 'p99_ms', 'memory_mb', 'after_start_mb', 'after_jobs_mb')


def check_programs():
    for path in (executor_program(), bench_program('bench-engine'), bench_program('bench-null-executor')):
        if not os.path.exists(path):
            sys.exit(f'{os.path.basename(path)} is not built: use `make bench`')


def main():
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--rounds', type=int, help='5; with --quick 1')
    parser.add_argument('--quick', action='store_true', help='a smoke run: everything once, and little of it')
    parser.add_argument('--only', action='append', metavar='TEXT', help='variants with this in their part or name')
    parser.add_argument('--write', metavar='FILE', help='the tables go there too')
    options = parser.parse_args()
    rounds = options.rounds or (1 if options.quick else 5)
    check_programs()
    missing = peers.ready()
    for name, why in missing.items():
        if why:
            print(f'{name}: not installed: {why}', flush=True)
    settings = Settings(options.quick)
    variants = [variant for part in (engine, end_to_end, growth) for variant in part.variants(settings, missing)
                if not options.only or any(text in variant.key for text in options.only)]
    runnable = [variant for variant in variants if not variant.missing]
    found = {variant.key: [] for variant in variants}
    began = time.monotonic()
    for number in range(rounds):
        for i in range(len(runnable)):
            variant = runnable[(i + number * len(runnable) // rounds) % len(runnable)]
            try:
                values = variant.measure()
            except Failure as failure:
                sys.exit(f'bench: {variant.key}: {failure}')
            found[variant.key].append(values)
            shown = ', '.join(f'{name} {values[name]:.3f}' for name in SHOWN if values.get(name) is not None)
            print(f'round {number + 1}, {time.monotonic() - began:.0f} s: {variant.key}: {shown}', flush=True)
    text = Report(variants, found, rounds, time.monotonic() - began, options.quick).text()
    print('\n' + text)
    if options.write:
        with open(options.write, 'w', encoding='utf-8') as file:
            file.write(text)
    return 0


if __name__ == '__main__':
    sys.exit(main())
