"""The tables of bench/RESULTS.md, from the medians over the rounds."""
import datetime
import os
import platform
import re
import statistics
import subprocess

from support import executor_program
import engine
import peers

BULL = 'end to end: BullMQ + isolated-vm | '
DECIMALS = {'jobs_per_s': 0, 'p50_ms': 2, 'p99_ms': 2, 'worker_cpu_ms': 3, 'redis_cpu_ms': 3, 'executor_cpu_ms': 3,
            'broker_cpu_ms': 3, 'commands': 1, 'reads': 1, 'memory_mb': 0, 'ms_per_job': 3}


def medians(rounds):
    """[{name: number}, …] → {name: median}"""
    names = {name for one in rounds for name in one}
    return {name: statistics.median(one[name] for one in rounds if one.get(name) is not None) for name in names
            if any(one.get(name) is not None for one in rounds)}


def show(values, name, decimals=None):
    value = values.get(name)
    if value is None:
        return '–'
    decimals = DECIMALS.get(name, 2) if decimals is None else decimals
    if name.endswith('_ms') and 0 < value < 0.1 and decimals < 3:
        decimals = 3
    return f'{value:,.{decimals}f}'


def table(head, rows):
    lines = ['| ' + ' | '.join(row) + ' |' for row in [head] + rows]
    return lines[:1] + ['|' + '---|' * len(head)] + lines[1:] + ['']


class Report:
    def __init__(self, variants, found, rounds, seconds, quick):
        self.variants, self.rounds, self.seconds, self.quick = variants, rounds, seconds, quick
        self.medians = {key: medians(values) for key, values in found.items() if values}

    def of(self, part):
        return [variant for variant in self.variants if variant.part == part]

    def get(self, key, name):
        return self.medians.get(key, {}).get(name)

    # ---- where and what

    def machine(self):
        model = 'unknown'
        with open('/proc/cpuinfo', encoding='utf-8') as file:
            for line in file:
                if line.startswith('model name'):
                    model = line.split(':', 1)[1].strip()
                    break
        memory_gb = os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30
        kernel = re.match(r'[0-9.]+', platform.release()).group(0)
        return (f'{os.cpu_count()} processors ({model}, {platform.machine()}), {memory_gb:.0f} GB, Linux {kernel}; '
                f'load at the end {os.getloadavg()[0]:.1f}')

    def versions(self):
        def said(arguments, pattern):
            try:
                text = subprocess.run(arguments, capture_output=True, text=True, check=False).stdout
            except OSError:
                return None
            match = re.search(pattern, text)
            return match.group(1) if match else None
        parts = [('isoq', said([executor_program(), '--version'], r'isoq-executor ([^,\s]+)')),
                 ("isoq's V8", said([executor_program(), '--version'], r'V8 (\S+)')),
                 ('Redis', said(['redis-server', '--version'], r'v=(\S+)')),
                 ('node', said(['node', '--version'], r'v(\S+)')),
                 ("node's V8", said(['node', '-p', 'process.versions.v8'], r'(\S+)'))]
        parts += [(name, version) for name, version in peers.wanted().items()]
        return ', '.join(f'{name} {version}' for name, version in parts if version)

    # ---- tables

    def engine_table(self, kind):
        part = f'engine, {kind}'
        rows, base = [], self.get(self.best(f'{part}: ', 'jobs_per_s', max, engine.BEST_PEER), 'jobs_per_s')
        for variant in self.of(part):
            values = self.medians.get(variant.key)
            if values is None:
                rows.append([variant.name, variant.missing or 'not measured', '', '', '', ''])
                continue
            ratio = f'{values["jobs_per_s"] / base:.2f}' if base else '–'
            rows.append([variant.name, show(values, 'jobs_per_s', 0 if values['jobs_per_s'] >= 100 else 1), ratio,
                         show(values, 'p50_ms'), show(values, 'p99_ms'), show(values, 'cpu_ms')])
        lines = [f'### {kind[0].upper()}{kind[1:]}', '']
        for variant in self.of(part):
            if self.get(variant.key, 'replaced'):
                lines += [f'{variant.name}: {self.get(variant.key, "replaced"):.0%} of the jobs cost their executor, '
                          'which was replaced; that is in the numbers.', '']
        return lines + table(['', 'jobs/s', 'of isolated-vm at its best', 'p50 ms', 'p99 ms', 'CPU ms'], rows)

    def end_to_end_table(self):
        rows = []
        columns = ['jobs_per_s', 'p50_ms', 'p99_ms', 'worker_cpu_ms', 'redis_cpu_ms', 'commands', 'reads', 'memory_mb']
        for variant in self.of('end to end'):
            values = self.medians.get(variant.key)
            name, executors = variant.name.split(' | ')
            if values is None:
                rows.append([name, executors, variant.missing or 'not measured'] + [''] * 7)
            else:
                rows.append([name, executors] + [show(values, column) for column in columns])
        return table(['', 'executors', 'jobs/s', 'p50 ms', 'p99 ms', 'CPU ms', 'of Redis', 'commands', 'reads', 'MB'],
                     rows)

    def growth_tables(self):
        lines = ['### Workers on one queue', '']
        head = ['workers', 'connections', 'ms per job', 'p50 ms, one in flight', 'CPU ms of Redis', 'MB, all']
        lines += table(head, [
            [v.name, show(m, 'connections', 0), show(m, 'ms_per_job'), show(m, 'p50_ms'), show(m, 'redis_cpu_ms'),
             show(m, 'memory_mb')] for v, m in self.measured('workers')])
        lines += [self.flatness('workers', 'More workers'), '', '### Waiting jobs', '']
        lines += table(['waiting', 'ms per job'],
                       [[v.name, show(m, 'ms_per_job')] for v, m in self.measured('waiting jobs')])
        lines += [self.flatness('waiting jobs', 'A longer queue'), '', '### Size of the result', '']
        sizes = self.measured('result size')
        rows, base = [], sizes[0][1] if sizes else None
        for variant, values in sizes:
            more = values['bytes'] - base['bytes']
            cost = f'{(values["ms_per_job"] - base["ms_per_job"]) * 1e6 / more:.1f}' if more else '–'
            rows.append([variant.name, show(values, 'ms_per_job'), cost] + [
                show(values, f'{who}_cpu_ms') for who in ('executor', 'broker', 'redis')])
        lines += table(['result', 'ms per job, one in flight', 'ns for each byte more than 1 KB',
                        'CPU ms of the executor', 'of the broker', 'of Redis'], rows)
        lines += ['What is not flat here is paid for by the byte, by the processes that touch each of them.', '']
        return lines

    def measured(self, part):
        return [(variant, self.medians[variant.key]) for variant in self.of(part) if variant.key in self.medians]

    def flatness(self, part, what):
        found = self.measured(part)
        if len(found) < 3:
            return ''
        times = [values['ms_per_job'] for _, values in found]
        factors = ', '.join(f'{time / times[1]:.2f} at {variant.name}' for (variant, _), time in zip(found, times))
        flat = times[-1] <= 1.25 * min(times)  # nothing below it is much cheaper
        return f'{what}: time for each job, as a factor of that at {found[1][0].name}: {factors}: ' + (
            'flat.' if flat else f'not flat, {times[-1] / min(times):.1f} times the least.')

    def weight_table(self):
        return table(['', 'MB after the start', 'MB after some jobs', 'of that the broker'], [
            [v.name, show(m, 'after_start_mb', 1), show(m, 'after_jobs_mb', 1), show(m, 'broker_mb', 1)]
            for v, m in self.measured('weight')])

    # ---- ratios

    def best(self, prefix, name, pick, names=None):
        """The key of the best variant of this prefix (of those names, if they are given), or None."""
        found = [variant.key for variant in self.variants if variant.key.startswith(prefix) and
                 (names is None or variant.name in names) and self.get(variant.key, name) is not None]
        return pick(found, key=lambda key: self.get(key, name)) if found else None

    def cpu(self, key):
        """Processor time for each job: of the engine, or of worker and Redis."""
        values = self.medians.get(key, {})
        if 'cpu_ms' in values:
            return values['cpu_ms']
        return values['worker_cpu_ms'] + values['redis_cpu_ms'] if 'redis_cpu_ms' in values else None

    def ratio_rows(self):
        """[line, what, found, the same by processor time, wanted, holds?]; what was not measured says so."""
        rows = []

        def add(line, what, ours, theirs, bound, name='jobs_per_s', at_most=False):
            """`ours`, `theirs`: keys of variants; None where there is none. `bound`: None where none was set."""
            wanted = f'{"at most" if at_most else "at least"} {bound}' if bound is not None else 'for information'
            upper, lower = self.get(ours, name), self.get(theirs, name)
            if not upper or not lower:
                rows.append([line, what, 'not measured', '–', wanted, '–'])
                return
            ratio = upper / lower
            by_cpu = '–'
            if name == 'jobs_per_s' and self.cpu(ours) and self.cpu(theirs):
                by_cpu = f'{self.cpu(theirs) / self.cpu(ours):.2f}'
            if bound is None:
                verdict = ''
            else:
                verdict = 'holds' if (ratio <= bound if at_most else ratio >= bound) else '**does not hold**'
            rows.append([line, what, f'{ratio:.2f}', by_cpu, wanted, verdict])

        tiny = 'engine, tiny: '
        ivm = self.best(tiny, 'jobs_per_s', max, engine.BEST_PEER)
        other = ', other scripts'
        for where, label in (('', 'over the frames'), (', in process', 'in process')):
            for scripts in ('', other):
                rewind, fresh = f'{tiny}isoq `rewind`{where}{scripts}', f'{tiny}isoq `fresh`{where}'
                what = f'engine, tiny job, {label}: jobs/s of `rewind`{scripts} to'
                add('1', f'{what} isolated-vm', rewind, ivm, 10)
                add('1', f'{what} `fresh`', rewind, fresh, 8)
        for rest, how in (('', 'without records'), (', records', 'with records'),
                          (other, f'without records{other}')):
            isoq, bull = f'end to end: isoq `rewind`{rest} | ', BULL
            label = f'end to end, {how}: '
            for executors in ('1', '2', '4'):
                add('2', label + f'jobs/s of `rewind` with {executors} executor{"s" if executors != "1" else ""} to a worker '
                    f'of BullMQ + isolated-vm with a concurrency of {executors}', isoq + executors, bull + executors, 15)
            add('2', label + 'jobs/s of `rewind` at its best to two such workers with a concurrency of 2 each',
                self.best(isoq, 'jobs_per_s', max), f'{bull}2 × 2', 15)
            add('2', label + 'p50 of `rewind` to BullMQ + isolated-vm, each at its best',
                self.best(isoq, 'p50_ms', min), self.best(bull, 'p50_ms', min), 0.2, 'p50_ms', at_most=True)
        for executors in ('1', '2', '4'):
            for scripts, ceiling, bound in (('', 'no JavaScript', 0.5), ('', 'V8 alone, script cached', 0.5),
                                            (other, 'V8 alone', 0.5), (other, 'no JavaScript', None)):
                plural = 's' if executors != '1' else ''
                add('3', f'end to end, {executors} executor{plural}: jobs/s of `rewind`{scripts} to "{ceiling}"',
                    f'end to end: isoq `rewind`{scripts} | {executors}',
                    f'end to end: ceiling: {ceiling} | {executors}', bound)
        for where, label in ((', over the frames', 'over the frames'), (', in process', 'in process')):
            ours = f'{tiny}isoq `rewind`' + (where if 'process' in where else '') + other
            add('3', f'engine, tiny job, {label}: jobs/s of `rewind`{other} to "V8 alone"', ours,
                f'{tiny}ceiling: V8 alone{where}', 0.5)
        weight = self.medians.get('weight: isoq `rewind`', {})
        sizes = [weight[name] for name in ('after_start_mb', 'after_jobs_mb') if name in weight]
        what = 'a worker with 2 idle executors and a spare one (`rewind`), MB, shared pages once'
        if sizes:
            rows.append(['6', what, f'{max(sizes):.0f}', '–', 'less than 150',
                         'holds' if max(sizes) < 150 else '**does not hold**'])
        else:
            rows.append(['6', what, 'not measured', '–', 'less than 150', '–'])
        return rows

    def text(self):
        date = datetime.datetime.now(datetime.timezone.utc).date().isoformat()
        parts = list(dict.fromkeys(variant.part for variant in self.variants))
        kinds = [part[len('engine, '):] for part in parts if part.startswith('engine')]
        rounds = f'{self.rounds} rounds' if self.rounds > 1 else '1 round'
        quick = ' (`--quick`: a smoke run, whose numbers mean little)' if self.quick else ''
        lines = ['# Measured', '',
                 f'Made by `make bench`{quick} on {date}, in {self.seconds / 60:.0f} min: medians of {rounds}, everything '
                 'side by side. How, and how to read it: [docs/performance.md](../docs/performance.md). Only ratios mean '
                 'something on another machine.', '',
                 f'- Machine: {self.machine()}', f'- Versions: {self.versions()}', '',
                 '## Ratios', '',
                 'The numbers in front are those of the lines in issue 7, "Shown by". *By CPU time* is the same ratio of '
                 'processor time for each job, which other work on the machine disturbs less.', '']
        lines += table(['line', 'what', 'found', 'by CPU time', 'wanted', ''], self.ratio_rows())
        if kinds:
            lines += ['## Engine: one job after the other, without Redis', '']
            for kind in kinds:
                lines += self.engine_table(kind)
        if 'end to end' in parts:
            lines += ['## End to end: tiny jobs through Redis', '',
                      'CPU, commands and reads are for each job; p50 and p99 with one job in flight; MB: the workers, '
                      'shared pages counted once.', '']
            lines += self.end_to_end_table()
        if 'workers' in parts or 'waiting jobs' in parts or 'result size' in parts:
            lines += ['## Growth', ''] + self.growth_tables()
        if 'weight' in parts:
            lines += ['## Weight of a worker with 2 idle executors and a spare one', ''] + self.weight_table()
        return '\n'.join(lines).rstrip('\n') + '\n'
