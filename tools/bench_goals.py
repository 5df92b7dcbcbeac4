"""What the benchmarks' results say: about the goals, and in short about whole families of rows."""

import dataclasses
import math
import re

from bench_results import OURS, duration, human, is_handle, ours_of

NOT_MEASURED = 'not measured'
# Speed-ups with 2 workers on 2 CPUs: 1.9 and 1.5.
EFFICIENCIES = (0.95, 0.75)


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


def over_runs(runs):
    """One verdict for each goal: of several runs, with the figures of each, and in how many of
    them the goal was reached."""
    if len(runs) == 1:
        return verdicts(runs[0])
    merged = []
    for same in zip(*map(verdicts, runs)):
        figures = [f'run {i}: {"; ".join(v.figures)}' for i, v in enumerate(same, 1)]
        measured = [v for v in same if v.reached != NOT_MEASURED]
        if not measured:
            merged.append(Verdict(same[0].goal, [NOT_MEASURED], NOT_MEASURED))
            continue
        count = sum(v.reached == 'yes' for v in measured)
        merged.append(Verdict(same[0].goal, figures, f'in {count} of {len(measured)} runs'))
    return merged


def shortest_tasks(results):
    """{contender: [the shortest task with so much efficiency, in seconds, or None]}. A length
    counts if the next longer one has as much: one lucky figure says nothing."""
    series = {}
    for rows in results.works().get('task_length', {}).values():
        for row in rows:
            series.setdefault(row.contender, []).append((row.x, row.median))
    found = {}
    for contender, points in series.items():
        points.sort()
        lucky = zip(points, points[1:] + points[-1:])
        reached = [(x, min(y, following)) for (x, y), (_, following) in lucky]
        found[contender] = [next((x for x, y in reached if y >= wanted), None)
                            for wanted in EFFICIENCIES]
    def order(item):
        return item[0] != OURS, *(math.inf if x is None else x for x in reversed(item[1]))
    return dict(sorted(found.items(), key=order))


def automatic_chunks(results):
    """(items, the best size by hand, automatic chunks as a share of it) of each kind of items."""
    for parameter, rows in results.works().get('map_chunks', {}).items():
        ours = ours_of(rows)
        by_hand = [r for r in rows if r is not ours and r.median > 0]
        if ours and by_hand:
            best = max(by_hand, key=lambda r: r.median)
            yield parameter, best.contender.removeprefix(f'{OURS}, '), ours.median / best.median
