#!/usr/bin/env python3
"""Instructions per task, counted by callgrind: bench_instructions.py <program> [--into results.json]

Runs benchmarks/instructions under valgrind, prints what a task costs on each side, and adds it to
the results of the benchmarks, if there are any. The counts hardly differ from run to run: they show
a regression that times would hide.
"""

import argparse
import json
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

_PART = re.compile(r'^desc: Trigger: Client Request: (.*) (\d+)$', re.M)
_TOTAL = re.compile(r'^(?:summary|totals): (\d+)', re.M)
# In the order in which they happen; the worker's parts say so.
PARTS = {'submit': 'the parent submits a task', 'claim, run and publish': 'the worker runs it',
         'get': 'the parent reads its result',
         'map, an item submitted': 'the parent submits an item, in chunks of 1,000',
         'map, an item run': 'the worker runs it, in chunks of 1,000',
         'map, an item read': 'the parent reads its result, in chunks of 1,000'}


def counts(dumps):
    """{part: instructions of one}; from the texts that callgrind wrote."""
    found = {}
    for text in dumps:
        part, total = _PART.search(text), _TOTAL.search(text)
        if part and total:
            found[part[1]] = int(total[1]) / int(part[2])
    return {part: found[part] for part in PARTS if part in found}


def rows(found):
    return [{'work': 'instructions', 'title': 'instructions that a task or an item costs',
             'parameter': PARTS[part], 'x': i, 'unit': 'instructions', 'contender': 'procpool',
             'median': count, 'p99': None, 'cpu': None, 'samples': [count]}
            for i, (part, count) in enumerate(found.items())]


def measure(program):
    with tempfile.TemporaryDirectory() as folder:
        # It warns of system calls that it does not know: only what goes wrong is of interest.
        done = subprocess.run(['valgrind', '--tool=callgrind', '--quiet', '--instr-atstart=no',
                               f'--callgrind-out-file={folder}/out.%p', program],
                              capture_output=True, text=True, timeout=120, check=False)
        if done.returncode != 0:
            sys.exit(done.stderr)
        return counts(p.read_text() for p in pathlib.Path(folder).iterdir())


def add(found, path):
    results = json.loads(path.read_text(encoding='utf-8'))
    results['rows'] = [r for r in results['rows'] if r['work'] != 'instructions'] + rows(found)
    path.write_text(json.dumps(results, indent=1) + '\n', encoding='utf-8')


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('program', type=pathlib.Path)
    parser.add_argument('--into', type=pathlib.Path, metavar='RESULTS')
    parser.add_argument('--json', type=pathlib.Path, metavar='FILE')
    arguments = parser.parse_args()
    if not shutil.which('valgrind') or not arguments.program.exists():
        print('instructions are not counted: that takes valgrind', file=sys.stderr)
        return
    found = measure(arguments.program)
    for part, count in found.items():
        print(f'{count:8.1f}  {PARTS[part]}')
    if arguments.into:
        add(found, arguments.into)
    if arguments.json:
        arguments.json.write_text(json.dumps(found, indent=1) + '\n', encoding='utf-8')


if __name__ == '__main__':
    main()
