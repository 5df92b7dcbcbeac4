#!/usr/bin/env python3
"""The benchmarks' results as tables: tools/bench_page.py <results.json>... [--page <folder>]

With --page it also writes performance.md and its plots, performance/*.svg, into the folder. Of
several runs the figures are those of the first, and each goal says in how many runs it was reached.
"""

import argparse
import pathlib
import re

from bench_goals import automatic_chunks, over_runs, shortest_tasks
from bench_results import direction, duration, human, load, ours_of, ratio
from bench_svg import plots

_COLUMNS = ['parameter', 'contender', 'median', 'p99', 'against procpool', 'CPU of each']
_TEMPLATE = pathlib.Path(__file__).resolve().parents[1] / 'benchmarks/performance.md.in'


def _lines(parameters):
    """The cells of one work, a line for each contender and parameter."""
    for parameter, rows in parameters.items():
        ours = ours_of(rows)
        for row in rows:
            yield [parameter, row.contender, human(row.median, row.unit), human(row.p99, row.unit),
                   ratio(row, ours), human(row.cpu, 's/task')]


def _first(parameters):
    return next(iter(parameters.values()))[0]


def _aligned(lines, left):
    """Columns of equal width; the first `left` of them begin on the left."""
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    for line in lines:
        cells = [cell.ljust(width) if i < left else cell.rjust(width)
                 for i, (cell, width) in enumerate(zip(line, widths))]
        yield '  ' + '  '.join(cells).rstrip()


def _speed_ups(results):
    """The shortest tasks that are worth it: a heading, then a line for each contender."""
    found = shortest_tasks(results)
    if found:
        yield ['contender', '1.5x', '1.9x']
    for contender, (high, low) in found.items():
        yield [contender, *('-' if x is None else duration(x) for x in (low, high))]


def _chunks(results):
    found = list(automatic_chunks(results))
    if found:
        yield ['items', 'best by hand', 'automatic chunks, of that']
    for parameter, best, share in found:
        yield [parameter, best, f'{share:.2f}']


_SPEED_UPS = 'The shortest task for which 2 workers on 2 CPUs are so much faster than a serial loop'
_CHUNKS = 'Throughput of `map` with automatic chunks, as a share of the best size by hand'


def _summaries(results):
    cpus = results.machine.get('cpus')
    speed_ups = _SPEED_UPS if cpus in (None, 2) else _SPEED_UPS.replace(
        '2 workers on 2 CPUs are so much faster than a serial loop',
        f'{cpus} workers on {cpus} CPUs are {0.75 * cpus:g} and {0.95 * cpus:g} times as fast as '
        'a serial loop, as 1.5 and 1.9 are with 2')
    for title, lines in (speed_ups, list(_speed_ups(results))), (_CHUNKS, list(_chunks(results))):
        if lines:
            yield title, lines


def table(results):
    out = ['"against procpool" compares a contender with procpool of the same work and parameter:',
           '"3.4x slower" means that procpool is 3.4 times as fast as the contender.']
    for work, parameters in results.works().items():
        head = _first(parameters)
        out += ['', f'{work}: {head.title} ({head.unit}, {direction(head)})',
                *_aligned([_COLUMNS, *_lines(parameters)], 2)]
    for title, lines in _summaries(results):
        out += ['', title.replace('`', '') + ':', *_aligned(lines, 1)]
    return '\n'.join(out) + '\n'


def goals(runs):
    out = ['', 'goals:']
    for verdict in over_runs(runs):
        out.append(f'  [{verdict.reached}] {verdict.goal.replace("`", "")}')
        out += [f'      {figure}' for figure in verdict.figures]
    return '\n'.join(out) + '\n'


def _cell(text):
    return text.replace('\\', '\\\\').replace('|', '\\|').replace('<', '&lt;').replace('\n', ' ')


def _markdown_row(cells):
    return '| ' + ' | '.join(cells) + ' |'


def _markdown_table(lines, left):
    """The first line is the heading."""
    yield _markdown_row(lines[0])
    yield '|' + '---|' * left + '--:|' * (len(lines[0]) - left)
    for cells in lines[1:]:
        yield _markdown_row([_cell(c) for c in cells])


def _figures(results):
    for parameters in results.works().values():
        head = _first(parameters)
        lines, last = [_COLUMNS], None
        for parameter, *cells in _lines(parameters):
            lines.append(['' if parameter == last else parameter, *cells])
            last = parameter
        yield f'### {head.title[:1].upper()}{head.title[1:]}'
        yield f'{head.unit}, **{direction(head)}**'
        yield '\n'.join(_markdown_table(lines, 2))


def _machine(results):
    known = results.machine
    names = [('model', 'processor'), ('cpus', 'CPUs'), ('kernel', 'kernel'),
             ('compiler', 'compiler'), ('load', 'load average'), ('date', 'date')]
    yield '| | |'
    yield '|---|---|'
    for key, name in names:
        if known.get(key) is not None:
            value = known[key]
            yield _markdown_row([name, _cell(f'{value:.2f}' if key == 'load' else str(value))])
    yield _markdown_row(['command', f'`{results.command}`'])
    yield _markdown_row(['rounds', str(results.rounds)])


def _goals(runs):
    cpus = runs[0].machine.get('cpus')
    text = 'The goals were set before the measurement; the figures and the answers are computed ' \
           f'from {"this run" if len(runs) == 1 else f"{len(runs)} runs"}. A goal is reached if ' \
           'all its figures are good enough.'
    if cpus == 1:
        text += ' They assume a free core for parent and worker each, and this machine has one.'
    elif cpus:
        text += ' They assume a free core for parent and worker each, and this machine has ' \
                f'{cpus}: with {cpus} workers or more, parent and workers share them.'
    yield text
    yield ''
    yield _markdown_row(['goal', 'this run' if len(runs) == 1 else 'figures', 'reached'])
    yield '|---|---|---|'
    for verdict in over_runs(runs):
        yield _markdown_row([verdict.goal, '<br>'.join(map(_cell, verdict.figures)),
                             verdict.reached])


def _plots(pictures):
    if pictures:
        yield '## Plots'
        yield 'Both axes are logarithmic.'
    for picture in pictures:
        alt = picture.alt.replace('[', '(').replace(']', ')')
        yield f'![{alt}](performance/{picture.file})'


def page(runs, pictures):
    results = runs[0]
    what = f'What `{results.command}` measured in one run'
    if len(runs) > 1:
        what = f'What `{results.command}` measured: the first of {len(runs)} runs, and the goals ' \
               'in all of them'
    summary = [f'{title}:\n\n' + '\n'.join(_markdown_table(lines, 1))
               for title, lines in _summaries(results)]
    parts = {'what': what, 'machine': '\n'.join(_machine(results)),
             'goals': '\n'.join(_goals(runs)), 'summary': '\n\n'.join(summary) or 'Not measured.',
             'plots': '\n\n'.join(_plots(pictures)),
             'figures': '\n\n'.join(_figures(results)) or 'Not measured.'}
    template = _TEMPLATE.read_text(encoding='utf-8')
    text = re.sub(r'\{\{(\w+)\}\}', lambda m: parts[m[1]], template)
    return re.sub(r'\n{3,}', '\n\n', text)


def write_page(runs, folder):
    pictures = plots(runs[0])
    plot_folder = folder / 'performance'
    plot_folder.mkdir(parents=True, exist_ok=True)
    for old in plot_folder.glob('*.svg'):  # of a run that measured more
        old.unlink()
    for picture in pictures:
        (plot_folder / picture.file).write_text(picture.svg, encoding='utf-8')
    (folder / 'performance.md').write_text(page(runs, pictures), encoding='utf-8')


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('results', type=pathlib.Path, nargs='+')
    parser.add_argument('--page', type=pathlib.Path, metavar='FOLDER')
    arguments = parser.parse_args()
    runs = [load(path.read_text(encoding='utf-8')) for path in arguments.results]
    print(table(runs[0]) + goals(runs), end='')
    if arguments.page:
        write_page(runs, arguments.page)


if __name__ == '__main__':
    main()
