"""What the benchmarks wrote, in units that people read."""

import dataclasses
import json
import math

OURS = 'procpool'

# In the order of the tables. A work that is not named here comes behind these.
WORKS = ['round_trip', 'window', 'submitters', 'submit_only', 'as_completed', 'map_small',
         'map_busy', 'map_chunks', 'task_length', 'payload', 'payload_in', 'payload_out',
         'by_handle', 'start', 'start_large', 'stop', 'recovery', 'recovery_large', 'memory_worker',
         'memory_task', 'memory_future', 'idle', 'wakeups', 'lock_alone', 'lock_contended',
         'lock_wait', 'lock_share', 'lock_hand_over', 'signal', 'barrier', 'queue',
         'queue_of_four', 'queue_round_trip', 'manager_call', 'instructions']
_MORE_IS_BETTER = {'tasks/s', 'items/s', 'locks/s', 'rounds/s', 'B/s', 'efficiency', 'share'}
# How a larger figure differs from a smaller one, where neither is faster.
_WORDS = {'share': ('fairer', 'less fair'),
          **dict.fromkeys(('B', 'CPU share', 'wake-ups/s', 'instructions'), ('more', 'less'))}


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
    if unit == 's' or unit.startswith('s/'):
        return duration(value)
    if unit == 'B/s':
        return size(value) + '/s'
    if unit == 'B':
        return size(value)
    if unit == 'tasks/s':
        return rate(value)
    if unit in ('items/s', 'locks/s', 'rounds/s'):
        return rate(value, unit.removesuffix('/s'))
    if unit == 'CPU share':
        return f'{value * 100:.3f}'.rstrip('0').rstrip('.') + ' %'
    if unit in ('efficiency', 'share'):
        return f'{value:.3g}'
    return f'{value:.3g} {unit}'


def direction(row):
    return 'more is better' if row.more_is_better else 'less is better'


def ratio(row, ours):
    """The row against procpool's of the same work and parameter, in words."""
    if ours is None or row is ours or row.unit != ours.unit:
        return '-'
    more, less = _WORDS.get(row.unit, ('faster', 'slower') if row.more_is_better else
                            ('slower', 'faster'))
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


def is_handle(row):
    return row.work == 'by_handle' or 'handle' in row.parameter
