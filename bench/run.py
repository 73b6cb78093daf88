#!/usr/bin/env python3
"""What isoq costs, as ratios: variants of a worker, side by side in one run.

Every round runs each variant once, in an order that turns, so that a machine which is slow for a while is slow for all
of them; the medians over the rounds are compared. A variant is a worker with some settings, and a Redis of its own. Its
jobs are pushed before it starts to serve, so that it is the worker that is measured, and not the producer; then some are
sent one at a time, for the latency. `make bench` runs it and writes bench/RESULTS.md.
"""
import argparse
import json
import os
import platform
import statistics
import sys
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'tests', 'support'))
from rig import JOBS, PREFIX, RedisServer, Rig, Worker, until  # noqa: E402

TINY = 'const o = {a: [1, 2, 3].map(x => x * 2)}; JSON.stringify(o)'
CPU = 'const end = Date.now() + 10; while (Date.now() < end); 1'
BASE = {'executors': 2, 'log_level': 'error', 'executor_max_jobs': 1000000}
# name: (settings, the job, how many, at a time in the latency part)
VARIANTS = {
    'records on': ({'record': 'true'}, TINY, 1.0),
    'records off': ({'record': 'false'}, TINY, 1.0),
    'a process for each job': ({'record': 'false', 'isolation': 'process', 'spare_executors': 2}, TINY, 0.02),
    '10 ms of processor time': ({'record': 'false'}, CPU, 0.05),
}


def job(name, code):
    return json.dumps({'id': name, 'code': code, 'reply_ttl_s': 600})


def measure(rig, name, settings, code, count):
    """→ (jobs a second, p50 and p99 of the latency of single jobs in ms)"""
    server = RedisServer(rig, f'redis-{name}').start().ready()
    redis = server.connect(60)
    environment = {f'ISOQ_{key.upper()}': str(value) for key, value in {**BASE, **settings}.items()}
    worker = Worker(rig, f'worker-{name}', 'unix://' + server.socket, {}, environment=environment)
    until('the worker serves', lambda: redis('ZCARD', PREFIX + 'workers') == 1, 60)
    # One job through each executor: what is lazy is loaded, and the worker waits in BLMOVE.
    for i in range(8):
        redis('LPUSH', JOBS, job(f'warm{i}', code))
        redis('BLPOP', f'{PREFIX}reply:warm{i}', 60)
    redis('HDEL', PREFIX + 'stats', 'processed')
    began = time.monotonic()
    for start in range(0, count, 500):
        redis.many([['LPUSH', JOBS, job(f'j{i}', code)] for i in range(start, min(count, start + 500))])
    while int(redis('HGET', PREFIX + 'stats', 'processed') or 0) < count:
        time.sleep(0.005)
    rate = count / (time.monotonic() - began)
    latencies = []
    for i in range(max(20, count // 20)):
        sent = time.monotonic()
        redis('LPUSH', JOBS, job(f's{i}', code))
        redis('BLPOP', f'{PREFIX}reply:s{i}', 60)
        latencies.append((time.monotonic() - sent) * 1000)
    latencies.sort()
    worker.stop()
    redis.close()
    server.kill()
    return rate, latencies[len(latencies) // 2], latencies[int(len(latencies) * 0.99)]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--jobs', type=int, default=3000, help='of the tiny kind in each round')
    parser.add_argument('--rounds', type=int, default=5)
    parser.add_argument('--only', action='append', help='variants with this in their name')
    parser.add_argument('--write', metavar='FILE', help='the table goes there too')
    options = parser.parse_args()
    names = [name for name in VARIANTS if not options.only or any(part in name for part in options.only)]
    found = {name: [] for name in names}
    for number in range(options.rounds):
        for i in range(len(names)):
            name = names[(i + number) % len(names)]
            settings, code, share = VARIANTS[name]
            with Rig('bench') as rig:
                found[name].append(measure(rig, f'{number}-{i}', settings, code, max(20, int(options.jobs * share))))
            rate, p50, p99 = found[name][-1]
            print(f'round {number + 1}: {name}: {rate:.0f} jobs/s, p50 {p50:.2f} ms, p99 {p99:.2f} ms', flush=True)
    base = statistics.median(rate for rate, _, _ in found[names[0]])
    lines = [f'| variant | jobs/s | of `{names[0]}` | p50 ms | p99 ms |', '|---|---|---|---|---|']
    for name in names:
        rate, p50, p99 = (statistics.median(values) for values in zip(*found[name]))
        lines.append(f'| {name} | {rate:.0f} | {rate / base:.2f} | {p50:.2f} | {p99:.2f} |')
    text = (f'# Measured\n\nMade by `make bench`: medians of {options.rounds} rounds of {options.jobs} tiny jobs '
            f'(other kinds fewer), 2 executors, {os.cpu_count()} processors, {platform.machine()}, '
            f'Linux {platform.release()}. Only the ratios mean something on another machine.\n\n' + '\n'.join(lines) + '\n')
    print('\n' + text)
    if options.write:
        with open(options.write, 'w', encoding='utf-8') as file:
            file.write(text)
    return 0


if __name__ == '__main__':
    sys.exit(main())
