#!/usr/bin/env python3
"""The benchmarks' results as a table: tools/bench_page.py <results.json> [--page <folder>]

With --page it also writes performance.md and its plots, performance/*.svg, into the folder.
"""

import argparse
import pathlib

from bench_results import direction, human, load, ours_of, ratio, verdicts
from bench_svg import plots

_COLUMNS = ['parameter', 'contender', 'median', 'p99', 'against procpool', 'CPU per task']


def _lines(parameters):
    """The cells of one work, a line for each contender and parameter."""
    for parameter, rows in parameters.items():
        ours = ours_of(rows)
        for row in rows:
            yield [parameter, row.contender, human(row.median, row.unit), human(row.p99, row.unit),
                   ratio(row, ours), human(row.cpu, 's/task')]


def _first(parameters):
    return next(iter(parameters.values()))[0]


def table(results):
    out = ['"against procpool" compares a contender with procpool of the same work and parameter:',
           '"3.4x slower" means that procpool is 3.4 times as fast as the contender.']
    for work, parameters in results.works().items():
        head = _first(parameters)
        lines = [_COLUMNS, *_lines(parameters)]
        widths = [max(len(line[i]) for line in lines) for i in range(len(_COLUMNS))]
        out += ['', f'{work}: {head.title} ({head.unit}, {direction(head)})']
        for line in lines:
            cells = [cell.ljust(width) if i < 2 else cell.rjust(width)
                     for i, (cell, width) in enumerate(zip(line, widths))]
            out.append('  ' + '  '.join(cells).rstrip())
    return '\n'.join(out) + '\n'


def _cell(text):
    return text.replace('\\', '\\\\').replace('|', '\\|').replace('<', '&lt;').replace('\n', ' ')


def _markdown_row(cells):
    return '| ' + ' | '.join(cells) + ' |'


def _markdown(parameters):
    yield _markdown_row(_COLUMNS)
    yield '|---|---|--:|--:|--:|--:|'
    last = None
    for parameter, *cells in _lines(parameters):
        yield _markdown_row([_cell(c) for c in ['' if parameter == last else parameter, *cells]])
        last = parameter


def _machine(results):
    known = results.machine
    names = [('model', 'processor'), ('cpus', 'CPUs'), ('kernel', 'kernel'),
             ('compiler', 'compiler'), ('load', 'load average'), ('date', 'date')]
    yield '| | |'
    yield '|---|---|'
    for key, name in names:
        if known.get(key) is not None:
            yield _markdown_row([name, _cell(str(known[key]))])
    yield _markdown_row(['command', f'`{results.command}`'])
    yield _markdown_row(['rounds', str(results.rounds)])


_HOW = '''\
Each work is done by procpool and by what a C++ or Python program might use instead, as far as it is
installed and can do it. They take turns, in each round anew, so that whatever else the machine does
disturbs all of them alike. Each has the same work and the same number of workers, is warm before it
is measured, and puts tasks into batches where its users would. What only procpool has is measured
alone. Thread pools are in the list since they are the usual choice; they share an address space,
and a crash in a task ends the program.

Only ratios of one run count. On a virtual machine the figures themselves may differ by a factor of
two from one run to the next.'''

_READING = '''\
* **median** and **p99**: where single tasks were timed, half of them took no longer than the
  median, and 99 of 100 no longer than p99. Elsewhere the median is that of the rounds.
* **against procpool** compares the contender of the line with procpool at the same parameter:
  "3.4x slower" means that procpool is 3.4 times as fast, "1.2x faster" that the contender is 1.2
  times as fast as procpool. Whether less or more is better stands above each table.
* **CPU per task** is the CPU time of all processes together for each task. A contender that waits
  by looking again and again is quick, and shows it here.
* **efficiency** is the speed-up over a serial loop, divided by the number of workers: 1 means that
  nothing is lost.
* `-` means that there is no such figure.'''


def _goals(results):
    cpus = results.machine.get('cpus')
    text = 'The goals were set before the measurement; the figures and the answers are computed ' \
           'from this run. A goal is reached if all its figures are good enough.'
    if cpus == 1:
        text += ' They assume a free core for parent and worker each, and this machine has one.'
    elif cpus:
        text += ' They assume a free core for parent and worker each, and this machine has ' \
                f'{cpus}: with {cpus} workers or more, parent and workers share them.'
    yield text
    yield ''
    yield _markdown_row(['goal', 'this run', 'reached'])
    yield '|---|---|---|'
    for verdict in verdicts(results):
        yield _markdown_row([verdict.goal, '<br>'.join(map(_cell, verdict.figures)),
                             verdict.reached])


def page(results, pictures):
    out = ['# Performance', '',
           f'What `{results.command}` measured in one run, written by `tools/bench_page.py`.',
           '', '## What was measured, and how', '', *_machine(results), '', _HOW,
           '', '## How to read it', '', _READING, '', '## Goals', '', *_goals(results)]
    if pictures:
        out += ['', '## Plots', '', 'Both axes are logarithmic.']
        for picture in pictures:
            alt = picture.alt.replace('[', '(').replace(']', ')')
            out += ['', f'![{alt}](performance/{picture.file})']
    out += ['', '## All figures']
    for parameters in results.works().values():
        head = _first(parameters)
        out += ['', f'### {head.title[:1].upper()}{head.title[1:]}', '',
                f'{head.unit}, **{direction(head)}**', '', *_markdown(parameters)]
    return '\n'.join(out) + '\n'


def write_page(results, folder):
    pictures = plots(results)
    plot_folder = folder / 'performance'
    plot_folder.mkdir(parents=True, exist_ok=True)
    for old in plot_folder.glob('*.svg'):  # of a run that measured more
        old.unlink()
    for picture in pictures:
        (plot_folder / picture.file).write_text(picture.svg, encoding='utf-8')
    (folder / 'performance.md').write_text(page(results, pictures), encoding='utf-8')


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('results', type=pathlib.Path)
    parser.add_argument('--page', type=pathlib.Path, metavar='FOLDER')
    arguments = parser.parse_args()
    results = load(arguments.results.read_text(encoding='utf-8'))
    print(table(results), end='')
    if arguments.page:
        write_page(results, arguments.page)


if __name__ == '__main__':
    main()
