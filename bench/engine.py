"""Part a: one job after the other, without Redis: what a pristine place for a script costs. And its ceiling.

Everybody runs in one process at a time, one job at a time, and gives the result's text back, which is compared. isoq is
measured in process (bench/engine.c), and over its frames with a locked executor (bench/wire.c), which is how a worker
uses it.
"""
import os
import resource
import time

from support import (JOB_KINDS, MEMORY_MB, Failure, Rig, Variant, bench_program, executor_program, numbers_of,
                     output_of, peer_script, program_environment, until)
import peers

NOT_KEPT = 'isoq `fresh`, pooled'  # a row all the same: whoever misses it finds the reason

# name: (what follows the programs' names); the order of the table.
ISOQ = {
    'isoq `fresh`': ['bench-wire', []],
    NOT_KEPT: None,
    'isoq `rewind`': ['bench-wire', [f'--rewind={MEMORY_MB}']],
    'isoq `rewind`, other scripts': ['bench-wire --other', [f'--rewind={MEMORY_MB}']],
    'isoq `process`': ['bench-wire --process', []],
    'isoq `fresh`, in process': ['bench-engine fresh', None],
    'isoq `rewind`, in process': ['bench-engine rewind-held', None],
    'isoq `rewind`, in process, other scripts': ['bench-engine rewind', None],
    'ceiling: V8 alone, in process': ['bench-engine reused-compiling', None],
    'ceiling: V8 alone, script cached': ['bench-engine reused', None],
    'ceiling: V8 alone, over the frames': ['bench-wire', 'bench-reused-executor'],
    'ceiling: the frames alone': ['bench-wire', 'bench-null-executor'],
}
PEERS = {'isolated-vm, sync': 'isolated-vm', 'isolated-vm, async': 'isolated-vm', '`deno run`': 'deno',
         'workerd, dynamic loader': 'workerd'}
BEST_PEER = ('isolated-vm, sync', 'isolated-vm, async')


def write(rig, name, text):
    with open(rig.path(name), 'w', encoding='utf-8') as file:
        file.write(text)
    return rig.path(name)


def measure_isoq(what, job, settings):
    program, executor = ISOQ[what]
    words = program.split()
    command = [bench_program(words[0])] + words[1:]
    with Rig('isoq-bench-') as rig:
        command += [write(rig, 'job.js', job.script), job.expected, str(settings.engine_s),
                    str(settings.engine_at_least)]
        if isinstance(executor, str):
            command += [bench_program(executor)]
        elif executor is not None:
            command += [executor_program()] + executor
        return numbers_of(command)


def measure_isolated_vm(mode, job, settings):
    with Rig('isoq-bench-') as rig:
        return numbers_of(['node', '--no-node-snapshot', peer_script('engine_isolated_vm.mjs'), mode,
                           write(rig, 'job.js', job.script), job.expected, str(settings.engine_s),
                           str(settings.engine_at_least)])


def children_cpu_ms():
    """Of those that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (used.ru_utime + used.ru_stime) * 1000


def measure_deno(job, settings):
    """A process for each job."""
    with Rig('isoq-bench-') as rig:
        environment = {**program_environment(), 'DENO_DIR': rig.path('deno'), 'DENO_NO_UPDATE_CHECK': '1',
                       'NO_COLOR': '1'}
        command = [peers.program('deno'), 'run', '--quiet', '--no-config', '--no-lock', '--no-remote', '--no-npm',
                   f'--v8-flags=--max-old-space-size={MEMORY_MB}', write(rig, 'job.js', job.program)]

        def once():
            text = output_of(command, environment).rstrip('\n')
            if text != job.expected:
                raise Failure(f'deno: expected {job.expected}, found {text}')

        once()
        times, began, cpu_before = [], time.monotonic(), children_cpu_ms()
        while len(times) < settings.engine_at_least or time.monotonic() - began < settings.engine_s:
            sent = time.monotonic()
            once()
            times.append((time.monotonic() - sent) * 1000)
        cpu_ms = (children_cpu_ms() - cpu_before) / len(times)
        times.sort()
        last = len(times) - 1
        return {'jobs': len(times), 'jobs_per_s': 1000 * len(times) / sum(times), 'p50_ms': times[last // 2],
                'p99_ms': times[int(0.99 * last)], 'cpu_ms': cpu_ms}


def measure_workerd(job, settings):
    with Rig('isoq-bench-') as rig:
        socket = rig.path('http.sock')
        process = rig.spawn('workerd.log', [peers.program('workerd'), 'serve', '--experimental',
                                            f'--socket-addr=http=unix:{socket}', peer_script('workerd.capnp')],
                            program_environment())

        def listens():
            if process.poll() is not None:
                with open(rig.path('workerd.log'), encoding='utf-8') as file:
                    raise Failure(f'workerd ended: {file.read()[-1000:]}')
            return os.path.exists(socket)

        until('workerd listens', listens)
        return numbers_of(['node', peer_script('engine_workerd.mjs'), socket, write(rig, 'job.mjs', job.module),
                           job.expected, str(settings.engine_s), str(settings.engine_at_least), str(process.pid)])


def variants(settings, missing_peers):
    found = []
    for kind, job in JOB_KINDS.items():
        part = f'engine, {kind}'
        for name in ISOQ:
            if name.startswith('ceiling: the frames') and kind != 'tiny':
                continue  # it answers with the tiny job's result
            why = 'tried and not kept: docs/performance.md' if name == NOT_KEPT else None
            found.append(Variant(part, name, lambda n=name, j=job: measure_isoq(n, j, settings), why))
        measures = {'isolated-vm, sync': lambda j=job: measure_isolated_vm('sync', j, settings),
                    'isolated-vm, async': lambda j=job: measure_isolated_vm('async', j, settings),
                    '`deno run`': lambda j=job: measure_deno(j, settings),
                    'workerd, dynamic loader': lambda j=job: measure_workerd(j, settings)}
        for name, peer in PEERS.items():
            why = missing_peers[peer]
            found.append(Variant(part, name, measures[name], why and f'not installed: {why}'))
    return found
