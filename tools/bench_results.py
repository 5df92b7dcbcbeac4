"""What the benchmarks wrote, in units that people read, and what it says about the goals."""

import dataclasses
import json
import math
import re

OURS = 'procpool'
NOT_MEASURED = 'not measured'

# In the order of the tables. A work that is not named here comes behind these.
WORKS = ['round_trip', 'window', 'submitters', 'submit_only', 'as_completed', 'map_small',
         'map_busy', 'map_chunks', 'task_length', 'payload', 'payload_in', 'payload_out',
         'by_handle', 'start', 'start_large', 'stop', 'recovery', 'recovery_large', 'memory_worker',
         'memory_task', 'memory_future', 'idle', 'wakeups', 'instructions']
_MORE_IS_BETTER = {'tasks/s', 'items/s', 'B/s', 'efficiency'}
_AMOUNTS = {'B', 'CPU share', 'wake-ups/s', 'instructions'}  # of which there is more or less; the rest is faster or slower


@dataclasses.dataclass
class Row:
    work: str
    title: str
    parameter: str
    x: float
    unit: str
    contender: str
    median: float
    p99: float | None = None
    cpu: float | None = None
    percentiles: dict = dataclasses.field(default_factory=dict)

    @property
    def more_is_better(self):
        return self.unit in _MORE_IS_BETTER


@dataclasses.dataclass
class Results:
    machine: dict
    command: str
    rounds: int
    rows: list

    def works(self):
        """{work: {parameter: its rows}}; procpool's first, then the best."""
        found = {}
        for row in self.rows:
            found.setdefault(row.work, []).append(row)
        order = {work: i for i, work in enumerate(WORKS)}
        result = {}
        for work in sorted(found, key=lambda w: order.get(w, len(WORKS))):
            result[work] = {}
            for row in sorted(found[work], key=lambda r: r.x):
                result[work].setdefault(row.parameter, []).append(row)
            for rows in result[work].values():
                rows.sort(key=lambda r: (r.contender != OURS,
                                         -r.median if r.more_is_better else r.median))
        return result

    def contenders(self):
        """Each once, in the order of the file, with procpool in front."""
        return sorted(dict.fromkeys(r.contender for r in self.rows), key=lambda c: c != OURS)


def _finite(text):
    number = float(text)
    return number if math.isfinite(number) else None


def load(text):
    """A figure that is missing or no number was not measured: such rows are left out."""
    data = json.loads(text, parse_float=_finite, parse_constant=lambda _: None)
    known = {f.name for f in dataclasses.fields(Row)}
    rows = [Row(**{k: v for k, v in row.items() if k in known and v is not None})
            for row in data['rows'] if row.get('median') is not None]
    for row in rows:
        row.percentiles = {float(k): v for k, v in row.percentiles.items() if v is not None}
    return Results(data.get('machine', {}), data.get('command', 'make bench'),
                   data.get('rounds', 0), rows)


def _digits(value):
    """Three significant ones."""
    return f'{value:.{2 if value < 10 else 1 if value < 100 else 0}f}'


def _scaled(value, factor, names):
    value = float(f'{value:.3g}') if factor == 1000 else value
    for name in names[:-1]:
        if round(value, 2 if value < 10 else 0) < factor:
            break
        value /= factor
    else:
        name = names[-1]
    return f'{value:.0f}' if name == 'B' else _digits(value), name


def duration(seconds):
    if seconds < 0:
        return '-' + duration(-seconds)
    if seconds == 0:
        return '0 s'
    return ' '.join(_scaled(seconds * 1e9, 1000, ['ns', 'us', 'ms', 's']))


def size(count):
    return ' '.join(_scaled(count, 1024, ['B', 'KiB', 'MiB', 'GiB', 'TiB']))


def rate(count, of=''):
    digits, name = _scaled(count, 1000, ['', 'thousand', 'million', 'billion'])
    words = ' '.join(filter(None, [name, of]))
    return f'{digits} {words}/s' if words else f'{digits}/s'


def human(value, unit):
    if value is None:
        return '-'
    if unit in ('s', 's/task'):
        return duration(value)
    if unit == 'B/s':
        return size(value) + '/s'
    if unit == 'B':
        return size(value)
    if unit == 'tasks/s':
        return rate(value)
    if unit == 'items/s':
        return rate(value, 'items')
    if unit == 'CPU share':
        return f'{value * 100:.3f}'.rstrip('0').rstrip('.') + ' %'
    if unit == 'efficiency':
        return f'{value:.3g}'
    return f'{value:.3g} {unit}'


def direction(row):
    return 'more is better' if row.more_is_better else 'less is better'


def ratio(row, ours):
    """The row against procpool's of the same work and parameter, in words."""
    if ours is None or row is ours or row.unit != ours.unit:
        return '-'
    more, less = ('more', 'less') if row.unit in _AMOUNTS else (
        ('faster', 'slower') if row.more_is_better else ('slower', 'faster'))
    high, low = max(row.median, ours.median), min(row.median, ours.median)
    word = more if row.median > ours.median else less
    if high == low or low > 0 and f'{high / low:.2f}' == '1.00':
        return 'same'
    if low <= 0:
        return word  # than nothing: there is no factor
    factor = high / low
    return f'{factor:,.{2 if factor < 2 else 1 if factor < 10 else 0}f}x {word}'


def ours_of(rows):
    return next((r for r in rows if r.contender == OURS), None)


@dataclasses.dataclass
class Verdict:
    goal: str
    figures: list  # text
    reached: str   # yes, no, or why neither


# Those with futures: a task whose result nobody can wait for is another work.
_THREAD_POOLS = re.compile(r'^(?!.*no futures).*(TBB|Asio|thread[_ ]pool)', re.I)
_OPENMP = re.compile(r'OpenMP')
_MEMCPY = re.compile(r'memcpy')
_MIB = 1 << 20
# A value that is sent and returned goes into the region and out of it, twice.
_COPIES = 4


def _verdict(goal, found, missing=()):
    """found: (text, whether it is good enough); missing: what the goal asks for besides."""
    if not found:
        return Verdict(goal, [NOT_MEASURED], NOT_MEASURED)
    figures = [text for text, _ in found] + [f'{what}: {NOT_MEASURED}' for what in missing]
    if not all(good for _, good in found):
        return Verdict(goal, figures, 'no')
    return Verdict(goal, figures, 'not measured in full' if missing else 'yes')


class _Goals:
    def __init__(self, results):
        self._works = results.works()

    def _parameters(self, work, wanted):
        for parameter, rows in self._works.get(work, {}).items():
            ours = ours_of(rows)
            if ours and wanted(ours):
                yield parameter, rows, ours

    def against(self, goal, work, peers, limit, at_most=False, wanted=lambda row: True, needed=()):
        """procpool's share of the best peer's figure; needed: (x, its name) that must be there."""
        found, seen = [], []
        for parameter, rows, ours in self._parameters(work, wanted):
            others = [r for r in rows if peers.search(r.contender) and r.median > 0]
            if others:
                best = (max if ours.more_is_better else min)(others, key=lambda r: r.median)
                share = ours.median / best.median
                found.append((f'{parameter}: {share:.3g} of {best.contender}',
                              share <= limit if at_most else share >= limit))
                seen.append(ours.x)
        missing = [name for x, name in needed
                   if not any(math.isclose(x, s, rel_tol=0.01) for s in seen)]
        return _verdict(goal, found, missing)

    def alone(self, goal, work, limit, at_most=True, wanted=lambda row: True):
        found = [(f'{parameter}: {human(ours.median, ours.unit)}',
                  ours.median <= limit if at_most else ours.median >= limit)
                 for parameter, _, ours in self._parameters(work, wanted)]
        return _verdict(goal, found)

    def by_handle(self, goal, limit):
        """As a work of its own, or among the payloads; as a time, or as bytes per second."""
        found = []
        for work in 'by_handle', 'payload':
            for parameter, _, ours in self._parameters(work, is_handle):
                seconds = ours.median
                if ours.unit == 'B/s':
                    seconds = ours.x / ours.median if ours.median > 0 else math.inf
                text = duration(seconds) if math.isfinite(seconds) else 'nothing arrived'
                found.append((f'{parameter}: {text}', seconds <= limit))
        return _verdict(goal, found)


def is_handle(row):
    return row.work == 'by_handle' or 'handle' in row.parameter


def _near(*values):
    return lambda row: any(math.isclose(row.x, v, rel_tol=0.01) for v in values)


def _method(name):
    pattern = re.compile(rf'\b{name}\b(?![ -]?server)')
    return lambda row: bool(pattern.search(row.parameter))


def _automatic_chunks(row):
    return 'chunk' not in row.parameter or 'automatic' in row.parameter


def verdicts(results):
    goals = _Goals(results)
    cpus = max(2, results.machine.get('cpus') or 1)  # the benchmarks never have fewer workers
    return [
        goals.against('Empty task, submit to result, one at a time: at most 0.2 of the time of the '
                      'best thread pool', 'round_trip', _THREAD_POOLS, 0.2, at_most=True),
        goals.against('Empty tasks, 1,024 in flight: at least 20 times the throughput of the best '
                      'thread pool with as many workers', 'window', _THREAD_POOLS, 20,
                      needed=[(n, f'{n} worker{"s" * (n > 1)}') for n in
                              dict.fromkeys((1, cpus, 4 * cpus))]),
        goals.alone('`map` over small items, automatic chunks: at least 50 million items/s',
                    'map_small', 50e6, at_most=False, wanted=_automatic_chunks),
        goals.against('`map` over a million CPU-bound items of 1 us and of 10 us: at least 0.9 of '
                      'OpenMP with its best schedule', 'map_busy', _OPENMP, 0.9,
                      wanted=_near(1e-6, 1e-5), needed=[(1e-6, '1 us'), (1e-5, '10 us')]),
        goals.against('Argument of 16 MiB, returned: at least a third of the bandwidth of `memcpy` '
                      f'divided by the {_COPIES} copies that must be made (into shared memory and '
                      f'out of it, both ways): {1 / 3 / _COPIES:.3f} of `memcpy`', 'payload',
                      _MEMCPY, 1 / 3 / _COPIES,
                      wanted=lambda r: not is_handle(r) and _near(16 * _MIB)(r)),
        goals.by_handle('Array of 1 GiB, by handle: at most 50 us, whatever its size', 50e-6),
        goals.alone('First result of a new pool of 2, start method `fork`: at most 3 ms', 'start',
                    3e-3, wanted=_method('fork')),
        goals.alone('First result of a new pool of 2, start method `spawn`: at most 15 ms', 'start',
                    15e-3, wanted=_method('spawn')),
        goals.alone('Replacing a crashed worker: at most 2 ms', 'recovery', 2e-3),
        goals.alone('Replacing a crashed worker, large parent: at most 2 ms', 'recovery_large',
                    2e-3),
        goals.alone('Idle pool: 0 % CPU (below 0.05 %)', 'idle', 0.0005),
    ]
