#!/usr/bin/env python3
"""Totals what tools/run-suites.sh has left in build/results: tools/total_results.py dev clang ...

For each suite <preset>.xml has the results of its tests, and <preset>.times the seconds that it took
to configure, to build and to test it. Printed are where the time goes, which tests failed, why
others were skipped, and at the end "N passed, N failed, N skipped". A suite without results, because
it could not even be configured, counts as one failure.
"""

import pathlib
import re
import sys
import xml.etree.ElementTree

RESULTS = pathlib.Path(__file__).resolve().parent.parent / 'build/results'
SLOWEST = 10
EXAMPLES = 3  # of tests that have the same reason to be skipped

# What GoogleTest prints of GTEST_SKIP() << "why".
_SKIPPED = re.compile(r'^\S+:\d+: Skipped\n(.*?)(?=^\[|\Z)', re.M | re.S)


def skip_reason(case):
    """Why a test was skipped: what it said itself, or else what CTest says."""
    output = case.findtext('system-out') or ''
    said = _SKIPPED.search(output)
    if said and said.group(1).strip():
        return ' '.join(said.group(1).split())
    if case.get('status') == 'disabled':
        return 'disabled'
    mark = case.find('skipped')
    last_line = (output.strip().splitlines() or [''])[-1]
    return last_line or (mark is not None and mark.get('message')) or 'no reason was given'


def name_of(case):
    """Without the bytes of a parameter, which GoogleTest's names say in words already."""
    return case.get('name', '').split('  # GetParam')[0]


class Suite:
    def __init__(self, name):
        self.name = name
        self.lost = False
        self.passed = self.failed = self.skipped = 0
        self.cases = []
        try:
            root = xml.etree.ElementTree.parse(RESULTS / f'{name}.xml').getroot()
        except (OSError, xml.etree.ElementTree.ParseError):
            self.lost = True
            self.failed = 1
            return
        self.failed = int(root.get('failures', 0))
        self.skipped = int(root.get('skipped', 0)) + int(root.get('disabled', 0))
        self.passed = int(root.get('tests', 0)) - self.failed - self.skipped
        self.cases = list(root.iter('testcase'))

    def times(self):
        """Seconds to configure, build and test; None where that is not known."""
        try:
            text = (RESULTS / f'{self.name}.times').read_text()
            known = dict(line.split() for line in text.splitlines())
        except (OSError, ValueError):
            known = {}
        return [known.get(step) for step in ('configure', 'build', 'test')]

    def slowest(self):
        timed = sorted(((float(c.get('time', 0)), name_of(c)) for c in self.cases), reverse=True)
        return [(t, name) for t, name in timed[:SLOWEST] if t > 0]


def print_times(suites):
    print(f'{"seconds":16}{"configure":>11}{"build":>11}{"test":>11}')
    for suite in suites:
        cells = ''.join(f'{"-" if t is None else t:>11}' for t in suite.times())
        print(f'{suite.name:16}{cells}')
    for suite in suites:
        if suite.slowest():
            print(f'the slowest tests of {suite.name}, in seconds:')
        for seconds, name in suite.slowest():
            print(f'{seconds:8.1f}  {name}')


def print_failed(suites):
    for suite in suites:
        if suite.lost:
            print(f'failed: {suite.name} has no results')
        for case in suite.cases:
            if case.get('status') == 'fail':
                print(f'failed: {suite.name}: {name_of(case)}')


def print_skipped(suites):
    by_reason = {}
    for suite in suites:
        for case in suite.cases:
            if case.find('skipped') is not None or case.get('status') == 'disabled':
                by_reason.setdefault(skip_reason(case), []).append(f'{suite.name}: {name_of(case)}')
    for reason, names in sorted(by_reason.items(), key=lambda item: (-len(item[1]), item[0])):
        more = f' and {len(names) - EXAMPLES} more' if len(names) > EXAMPLES else ''
        print(f'skipped, {len(names)}: {reason} ({", ".join(names[:EXAMPLES])}{more})')


def main():
    suites = [Suite(name) for name in sys.argv[1:]]
    print_times(suites)
    print_skipped(suites)
    print_failed(suites)
    failed = sum(s.failed for s in suites)
    print(f'{sum(s.passed for s in suites)} passed, {failed} failed, '
          f'{sum(s.skipped for s in suites)} skipped')
    sys.exit(1 if failed else 0)


if __name__ == '__main__':
    main()
