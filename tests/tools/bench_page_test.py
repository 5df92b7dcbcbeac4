"""Table, page and plots of the benchmarks' results: all figures are computed, none invented."""

import contextlib
import io
import json
import pathlib
import re
import sys
import tempfile
import unittest
import xml.etree.ElementTree as ElementTree

from planted import TOOLS, run_script  # and the path by which the next ones are found

import bench_goals
import bench_instructions
import bench_page
import bench_results as results
import bench_svg

MIB = 1 << 20
GOALS = ['round trip', 'in flight', 'small items', 'busy items', '16 MiB', 'by handle', 'fork',
         'spawn', 'recovery', 'recovery, large', 'idle']


def row(work, parameter, x, unit, contender, median, **more):
    return {'work': work, 'title': f'title of {work}', 'parameter': parameter, 'x': x, 'unit': unit,
            'contender': contender, 'median': median, 'p99': None, 'cpu': None, 'samples': [median],
            **more}


def trip(contender, median, **more):
    return row('round_trip', '2 workers', 2, 's/task', contender, median, **more)


def window(workers, contender, median):
    return row('window', f'{workers} workers', workers, 'tasks/s', contender, median)


def run_of(rows, cpus=2):
    return {'machine': {'cpus': cpus, 'model': 'a|b <c> CPU', 'kernel': 'Linux 6.1',
                        'compiler': 'g++ 12.2.0', 'load': 0.4, 'date': '2026-11-23'},
            'command': 'make bench', 'rounds': 5, 'rows': rows}


def loaded(*rows, cpus=2):
    return results.load(json.dumps(run_of(list(rows), cpus)))


EVERYTHING = [
    trip('oneTBB', 8e-6, p99=30e-6, cpu=9e-6, percentiles={'50': 8e-6, '90': 1e-5, '99': 3e-5}),
    trip('procpool', 1e-6, p99=4e-6, cpu=2.1e-6,
         percentiles={'50': 1e-6, '90': 2e-6, '99': 4e-6, '99.9': 3e-5}),
    *[window(n, 'procpool', 1.2e7) for n in (1, 2, 8)],
    *[window(n, 'Boost.Asio', 3e5) for n in (1, 2, 8)],
    *[row('submitters', f'{n} threads', n, 'tasks/s', 'procpool', 1e7 / n) for n in (1, 2, 4)],
    row('map_small', '2 workers', 0, 'items/s', 'procpool', 6e7),
    *[row('map_busy', f'items of {n} us', n * 1e-6, 'items/s', who, rate) for n in (1, 10)
      for who, rate in (('procpool', 1.9e6 / n), ('OpenMP', 2e6 / n))],
    *[row('task_length', f'{x}', x, 'efficiency', who, share) for x in (1e-6, 1e-3)
      for who, share in (('procpool', 0.9), ('oneTBB', 0.5))],
    *[row('payload', f'{x} bytes', x, 'B/s', who, bandwidth) for x in (8, 16 * MIB)
      for who, bandwidth in (('procpool', 2.5e9), ('memcpy', 2e10))],
    row('by_handle', '1 GiB', 1 << 30, 's/task', 'procpool', 3e-5),
    *[row('start', how, 0, 's', 'procpool', took)
      for how, took in (('fork', 2e-3), ('forkserver', 9e-3), ('spawn', 9e-3))],
    row('recovery', 'spawn', 0, 's', 'procpool', 1e-3),
    row('recovery_large', 'spawn, a parent of 4 GiB', 0, 's', 'procpool', 3e-3),
    row('memory_worker', '2 workers', 0, 'B', 'procpool', 1.5 * MIB),
    row('idle', '2 workers', 0, 'CPU share', 'procpool', 0.0),
    *[row('lock_wait', '2 processes', 2, 's/lock', who, took, cpu=2 * took,
          percentiles={'50': took, '99': 4 * took})
      for who, took in (('procpool', 1e-6), ('pthread', 2e-6))],
    row('lock_share', '2 processes', 2, 'share', 'procpool', 0.8),
    *[row(work, '8 B', 8, 'items/s', who, 2e6) for work in ('queue', 'queue_of_four')
      for who in ('procpool', 'pipe')],
]


def written(rows, cpus=2):
    """The page, and the plots by name, that the script itself writes."""
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        (folder / 'r.json').write_text(json.dumps(run_of(rows, cpus)))
        code, output, errors = run_script(TOOLS / 'bench_page.py', folder / 'r.json', '--page', folder / 'docs')
        if code != 0:
            raise AssertionError(errors)
        plots = {p.name: p.read_text() for p in (folder / 'docs/performance').iterdir()}
        code, broken, _ = run_script(TOOLS / 'check_links.py', folder)
        if code != 0:
            raise AssertionError(broken)
        return output, (folder / 'docs/performance.md').read_text(), plots


class Units(unittest.TestCase):
    def test_durations(self):
        for seconds, text in ((0, '0 s'), (2.5e-10, '0.25 ns'), (2.45e-7, '245 ns'),
                              (1.234e-6, '1.23 us'), (9.996e-7, '1.00 us'), (9.63e-2, '96.3 ms'),
                              (2, '2.00 s'), (1234, '1230 s')):
            self.assertEqual(results.duration(seconds), text)

    def test_rates(self):
        for value, text in ((450, '450/s'), (4500, '4.50 thousand/s'), (1.23e7, '12.3 million/s'),
                            (999999, '1.00 million/s'), (2e9, '2.00 billion/s')):
            self.assertEqual(results.human(value, 'tasks/s'), text)
        self.assertEqual(results.human(6e7, 'items/s'), '60.0 million items/s')
        self.assertEqual(results.human(6e4, 'locks/s'), '60.0 thousand locks/s')
        self.assertEqual(results.human(0.2, 'tasks/s'), '0.20/s')

    def test_sizes(self):
        for value, text in ((8, '8 B'), (1023.9, '1.00 KiB'), (1.5 * MIB, '1.50 MiB'),
                            (1 << 34, '16.0 GiB')):
            self.assertEqual(results.human(value, 'B'), text)
            self.assertEqual(results.human(value, 'B/s'), text + '/s')

    def test_others(self):
        self.assertEqual(results.human(0.0, 'CPU share'), '0 %')
        self.assertEqual(results.human(0.0125, 'CPU share'), '1.25 %')
        self.assertEqual(results.human(0.8768, 'efficiency'), '0.877')
        self.assertEqual(results.human(0.5, 'share'), '0.5')
        self.assertEqual(results.human(2e-6, 's/round trip'), '2.00 us')
        self.assertEqual(results.human(None, 's'), '-')


class Ratios(unittest.TestCase):
    def ratio(self, unit, theirs, ours):
        run = loaded(row('w', 'p', 1, unit, 'a peer', theirs),
                     row('w', 'p', 1, unit, 'procpool', ours))
        return results.ratio(*run.rows)

    def test_less_is_better(self):
        self.assertEqual(self.ratio('s/task', 3.4e-6, 1e-6), '3.4x slower')
        self.assertEqual(self.ratio('s', 1, 1.2), '1.20x faster')
        self.assertEqual(self.ratio('B', 69, 10), '6.9x more')

    def test_more_is_better(self):
        self.assertEqual(self.ratio('tasks/s', 1, 2500), '2,500x slower')
        self.assertEqual(self.ratio('items/s', 10, 5), '2.0x faster')
        self.assertEqual(self.ratio('B/s', 5, 60), '12x slower')
        self.assertEqual(self.ratio('share', 0.25, 0.5), '2.0x less fair')
        self.assertEqual(self.ratio('share', 0.5, 0.25), '2.0x fairer')
        self.assertEqual(self.ratio('efficiency', 0.5, 0.9), '1.80x slower')

    def test_same_and_nothing(self):
        self.assertEqual(self.ratio('s', 1.001, 1), 'same')
        self.assertEqual(self.ratio('CPU share', 0, 0), 'same')
        self.assertEqual(self.ratio('CPU share', 0.1, 0), 'more')
        self.assertEqual(self.ratio('CPU share', 0, 0.1), 'less')

    def test_same_work_and_parameter_only(self):
        text = bench_page.table(loaded(window(1, 'procpool', 100), window(2, 'procpool', 300),
                                       window(2, 'oneTBB', 100), window(8, 'oneTBB', 100)))
        lines = [re.split(r'  +', line.strip()) for line in text.splitlines()]
        self.assertIn(['2 workers', 'oneTBB', '100/s', '-', '3.0x slower', '-'], lines)
        self.assertIn(['8 workers', 'oneTBB', '100/s', '-', '-', '-'], lines)


class Table(unittest.TestCase):
    def test_headings_and_lines(self):
        text = bench_page.table(loaded(*EVERYTHING))
        self.assertIn('round_trip: title of round_trip (s/task, less is better)\n', text)
        self.assertIn('window: title of window (tasks/s, more is better)\n', text)
        lines = [re.split(r'  +', line.strip()) for line in text.splitlines()]
        ours = lines.index(['2 workers', 'procpool', '1.00 us', '4.00 us', '-', '2.10 us'])
        self.assertEqual(lines[ours + 1],
                         ['2 workers', 'oneTBB', '8.00 us', '30.0 us', '8.0x slower', '9.00 us'])

    def test_order(self):
        run = loaded(window(8, 'procpool', 1), trip('xargs', 3e-6), trip('oneTBB', 2e-6),
                     window(1, 'procpool', 1), trip('procpool', 9e-6))
        works = run.works()
        self.assertEqual(list(works), ['round_trip', 'window'])
        self.assertEqual(list(works['window']), ['1 workers', '8 workers'])
        self.assertEqual([r.contender for r in works['round_trip']['2 workers']],
                         ['procpool', 'oneTBB', 'xargs'])

    def test_no_number_is_not_measured(self):
        run = results.load('{"rows": [%s]}' % ', '.join(
            json.dumps(trip(who, 0)).replace('"median": 0', f'"median": {text}')
            for who, text in (('a', 'NaN'), ('b', 'Infinity'), ('c', 'null'), ('d', '1e999'),
                              ('e', '2e-6'))))
        self.assertEqual(run.contenders(), ['e'])


class Goals(unittest.TestCase):
    def verdicts(self, *rows, cpus=2):
        found = bench_goals.verdicts(loaded(*rows, cpus=cpus))
        self.assertEqual(len(found), len(GOALS))
        return dict(zip(GOALS, found))

    def test_everything(self):
        found = self.verdicts(*EVERYTHING)
        self.assertEqual([found[g].reached for g in GOALS],
                         ['yes'] * 9 + ['no', 'yes'])
        self.assertEqual(found['round trip'].figures, ['2 workers: 0.125 of oneTBB'])
        self.assertEqual(found['busy items'].figures[0], 'items of 1 us: 0.95 of OpenMP')
        self.assertEqual(found['16 MiB'].figures, ['16777216 bytes: 0.125 of memcpy'])
        self.assertEqual(found['fork'].figures, ['fork: 2.00 ms'])
        self.assertEqual(found['recovery, large'].figures, ['spawn, a parent of 4 GiB: 3.00 ms'])

    def test_nothing(self):
        for verdict in self.verdicts().values():
            self.assertEqual((verdict.figures, verdict.reached), (['not measured'], 'not measured'))

    def test_best_thread_pool_counts(self):
        found = self.verdicts(trip('procpool', 1e-6), trip('oneTBB', 8e-6), trip('OpenMP', 1e-7),
                              trip('Boost.Asio', 4e-6), trip('std::async', 1e-7))
        self.assertEqual(found['round trip'].figures, ['2 workers: 0.25 of Boost.Asio'])
        self.assertEqual(found['round trip'].reached, 'no')

    def test_tasks_without_futures_are_another_work(self):
        found = self.verdicts(trip('procpool', 1e-6), trip('thread pool by hand', 8e-6),
                              trip('oneTBB task_group (no futures)', 1e-7))
        self.assertEqual(found['round trip'].figures, ['2 workers: 0.125 of thread pool by hand'])

    def test_without_peer_or_without_us(self):
        for who in 'procpool', 'oneTBB':
            found = self.verdicts(trip(who, 1e-6))
            self.assertEqual(found['round trip'].reached, 'not measured')

    def test_one_parameter_misses_the_goal(self):
        rows = [window(n, 'procpool', 1.2e7) for n in (1, 2, 8)]
        found = self.verdicts(*rows, *[window(n, 'oneTBB', 1e5 * n) for n in (1, 2, 8)])
        self.assertEqual(found['in flight'].figures[2], '8 workers: 15 of oneTBB')
        self.assertEqual(found['in flight'].reached, 'no')

    def test_not_in_full(self):
        rows = [window(n, who, rate) for n in (1, 2)
                for who, rate in (('procpool', 40), ('TBB', 1))]
        found = self.verdicts(*rows)['in flight']
        self.assertEqual(found.figures[-1], '8 workers: not measured')
        self.assertEqual(found.reached, 'not measured in full')
        self.assertEqual(self.verdicts(*rows, cpus=16)['in flight'].figures[-2:],
                         ['16 workers: not measured', '64 workers: not measured'])

    def test_by_handle_among_payloads(self):
        found = self.verdicts(
            row('payload', '1 GiB by handle', 1 << 30, 'B/s', 'procpool', (1 << 30) / 1e-4),
            row('payload', '16 MiB by handle', 16 * MIB, 'B/s', 'procpool', 1e12),
            row('payload', '16 MiB by handle', 16 * MIB, 'B/s', 'memcpy', 1e10))
        self.assertEqual(found['by handle'].figures[1], '1 GiB by handle: 100 us')
        self.assertEqual(found['by handle'].reached, 'no')
        self.assertEqual(found['16 MiB'].reached, 'not measured')

    def test_chunks_that_are_not_automatic(self):
        small = row('map_small', 'chunks of 1', 0, 'items/s', 'procpool', 1)
        self.assertEqual(self.verdicts(small)['small items'].reached, 'not measured')

    def test_idle(self):
        busy = row('idle', '2 workers', 0, 'CPU share', 'procpool', 0.01)
        self.assertEqual(self.verdicts(busy)['idle'].reached, 'no')


class Runs(unittest.TestCase):
    def verdict(self, *medians):
        runs = [loaded(*([] if m is None else [trip('procpool', m), trip('oneTBB', 8e-6)]))
                for m in medians]
        return bench_goals.over_runs(runs)[0]

    def test_in_how_many(self):
        verdict = self.verdict(1e-6, 4e-6, 1e-6)
        self.assertEqual(verdict.reached, 'in 2 of 3 runs')
        self.assertEqual(verdict.figures[1], 'run 2: 2 workers: 0.5 of oneTBB')
        self.assertEqual(self.verdict(1e-6).reached, 'yes')

    def test_not_measured_in_one_or_in_any(self):
        self.assertEqual(self.verdict(1e-6, None).reached, 'in 1 of 1 runs')
        self.assertEqual(self.verdict(None, None).reached, 'not measured')

    def test_page_of_several(self):
        text = bench_page.page([loaded(*EVERYTHING), loaded()], [])
        self.assertIn('the first of 2 runs', text)
        self.assertIn('| in 1 of 1 runs |', text)


class Summaries(unittest.TestCase):
    def test_shortest_task(self):
        run = loaded(*[row('task_length', f'{x}', x, 'efficiency', who, share) for who, shares in
                       (('a peer', (0.1, 0.2, 0.8, 0.99)), ('procpool', (0.8, 0.7, 0.8, 0.96)),
                        ('slow', (0, 0, 0, 0.1)))
                       for x, share in zip((1e-6, 1e-5, 1e-4, 1e-3), shares)])
        self.assertEqual(list(bench_goals.shortest_tasks(run).items()),
                         [('procpool', [1e-3, 1e-4]), ('a peer', [1e-3, 1e-4]),
                          ('slow', [None, None])])
        self.assertRegex(bench_page.table(run), r'\n  slow +- +-\n')

    def test_automatic_chunks(self):
        run = loaded(*[row('map_chunks', 'items of 1 us', 1e-6, 'items/s', who, rate) for who, rate in
                       (('procpool', 9e5), ('procpool, chunks of 16', 1e6),
                        ('procpool, chunks of 1', 1e5))])
        self.assertEqual(list(bench_goals.automatic_chunks(run)),
                         [('items of 1 us', 'chunks of 16', 0.9)])

    def test_every_placeholder_is_filled(self):
        self.assertNotIn('{{', bench_page.page([loaded(*EVERYTHING)], []))


class Instructions(unittest.TestCase):
    DUMPS = ['desc: Trigger: Program termination\nsummary: 99\n',
             'desc: Trigger: Client Request: get 10\nevents: Ir\nsummary: 3170 \n',
             'desc: Trigger: Client Request: claim, run and publish 100\nsummary: 25000\n']

    def test_counts(self):
        self.assertEqual(bench_instructions.counts(self.DUMPS),
                         {'claim, run and publish': 250, 'get': 317})

    def test_rows_replace_those_of_an_earlier_count(self):
        with tempfile.TemporaryDirectory() as name:
            path = pathlib.Path(name) / 'r.json'
            path.write_text(json.dumps(run_of([trip('procpool', 1e-6)])))
            for _ in range(2):
                bench_instructions.add(bench_instructions.counts(self.DUMPS), path)
            run = results.load(path.read_text())
        self.assertEqual(len(run.rows), 3)
        self.assertRegex(bench_page.table(run), r'the worker runs it +procpool +250 instructions')


class Page(unittest.TestCase):
    def test_everything(self):
        output, page, plots = written(EVERYTHING)
        self.assertEqual(set(plots), {'latency-2-workers.svg', 'window.svg', 'submitters.svg',
                                      'task_length.svg', 'payload.svg', 'queue.svg',
                                      'lock_wait-2-processes.svg'})
        for name in plots:
            self.assertEqual(len(re.findall(rf'!\[[^]]+\]\(performance/{name}\)', page)), 1)
        for text in (output, page, *plots.values()):
            self.assertNotRegex(text, r'\b([Nn]a[Nn]|inf|None)\b')
        self.assertIn('| processor | a\\|b &lt;c> CPU |', page)
        self.assertIn('| command | `make bench` |', page)
        self.assertIn('| date | 2026-11-23 |', page)
        self.assertIn('**more is better**', page)
        self.assertIn('|  | oneTBB | 8.00 us | 30.0 us | 8.0x slower | 9.00 us |', page)
        self.assertRegex(page, r'\| Replacing a crashed worker, large parent[^|]*\| '
                               r'spawn, a parent of 4 GiB: 3.00 ms \| no \|')

    def test_nothing(self):
        _, page, plots = written([])
        self.assertEqual(plots, {})
        self.assertNotIn('## Plots', page)
        self.assertEqual(page.count('| not measured | not measured |'), len(GOALS))

    def test_cores(self):
        self.assertIn('this machine has one', written([], cpus=1)[1])
        self.assertIn('this machine has 4', written([], cpus=4)[1])

    def test_plots_of_an_earlier_run(self):
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name)
            bench_page.write_page([loaded(*EVERYTHING)], folder)
            bench_page.write_page([loaded(window(1, 'procpool', 5))], folder)
            self.assertEqual([p.name for p in (folder / 'performance').iterdir()], ['window.svg'])

    def test_wrong_arguments(self):
        with contextlib.redirect_stderr(io.StringIO()), self.assertRaises(SystemExit):
            sys.argv = ['bench_page.py']
            bench_page.main()


SVG = '{http://www.w3.org/2000/svg}'


class Plots(unittest.TestCase):
    def plots(self, *rows):
        return {p.file: ElementTree.fromstring(p.svg) for p in bench_svg.plots(loaded(*rows))}

    def test_parts(self):
        for name, svg in self.plots(*EVERYTHING).items():
            with self.subTest(name):
                width, height = float(svg.get('width')), float(svg.get('height'))
                self.assertEqual(svg.tag, SVG + 'svg')
                self.assertEqual(svg[1].get('fill'), '#ffffff')
                self.assertEqual(svg.find(SVG + 'title').text, svg.find(SVG + 'text').text)
                texts = [t.text for t in svg.iter(SVG + 'text')]
                self.assertEqual(texts.count('procpool'), 1)
                self.assertTrue({'more is better', 'less is better'} & set(texts))
                for text in svg.iter(SVG + 'text'):
                    self.assertTrue(0 < float(text.get('x')) < width)
                for shape in svg.iter(SVG + 'polyline'):
                    for point in shape.get('points').split():
                        x, y = map(float, point.split(','))
                        self.assertTrue(0 < x < width and 0 < y < height)

    def lines(self, svg):
        """The points of each line in the plot, by colour; the legend's comes last."""
        found = {}
        for line in svg.iter(SVG + 'polyline'):
            points = [tuple(map(float, p.split(','))) for p in line.get('points').split()]
            found.setdefault(line.get('stroke'), points)
        return found

    def test_logarithmic(self):
        rows = [row('task_length', str(x), x, 'efficiency', 'procpool', y)
                for x, y in ((1e-5, 0.01), (1e-6, 0.001), (1e-3, 1))]
        (points,) = self.lines(self.plots(*rows)['task_length.svg']).values()
        self.assertEqual(points, sorted(points))
        (x0, y0), (x1, y1), (x2, y2) = points
        self.assertAlmostEqual((x2 - x1) / (x1 - x0), 2, delta=0.01)
        self.assertAlmostEqual((y2 - y1) / (y1 - y0), 2, delta=0.01)
        self.assertLess(y2, y0)

    def test_from_left_to_right(self):
        trips = trip('procpool', 1e-6, percentiles={'99.9': 4e-6, '50': 1e-6, '100': 1, '90': 2e-6})
        (points,) = self.lines(self.plots(trips)['latency-2-workers.svg']).values()
        self.assertEqual(len(points), 3)  # the scale of percentiles does not reach 100
        self.assertEqual(points, sorted(points))

    def test_one_point_and_nothing(self):
        svg = self.plots(window(1, 'procpool', 5), window(2, 'oneTBB', 0))['window.svg']
        texts = [t.text for t in svg.iter(SVG + 'text')]
        self.assertIn('procpool', texts)
        self.assertNotIn('oneTBB', texts)  # a logarithm has no place for 0
        self.assertEqual(self.plots(window(1, 'procpool', 0)), {})

    def test_names_are_escaped(self):
        svg = self.plots(window(1, 'a<b & "c"', 5))['window.svg']
        self.assertIn('a<b & "c"', [t.text for t in svg.iter(SVG + 'text')])

    def test_contenders_look_different(self):
        names = ['procpool', *(f'peer {i}' for i in range(20))]
        styles = bench_svg.Styles(names)
        looks = {styles.marker(name, 0, 0) for name in names}
        self.assertEqual(len(looks), len(names))
        later = bench_svg.Styles(['peer 0', 'procpool'])
        self.assertEqual(later.marker('procpool', 0, 0), styles.marker('procpool', 0, 0))

    def test_ticks(self):
        for low, high in ((1e-7, 1e-2), (5, 5.1), (3e5, 2e7), (1e-9, 1e3)):
            for base in 2, 10:
                ticks = bench_svg._round_ticks(low, high, base)
                self.assertLessEqual(ticks[0], low * 1.001)
                self.assertGreaterEqual(ticks[-1], high * 0.999)
                self.assertLess(len(ticks), 13)
                self.assertEqual(ticks, sorted(set(ticks)))


if __name__ == '__main__':
    unittest.main()
