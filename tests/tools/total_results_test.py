"""The closing lines of a run, and that a lost result file is a failure."""

import pathlib
import shutil
import tempfile
import unittest

from planted import TOOLS, run_script

SUITE = ('<?xml version="1.0" encoding="UTF-8"?>\n<testsuite name="(empty)"\n\ttests="{}"\n'
         '\tfailures="{}"\n\tdisabled="{}"\n\tskipped="{}"\n\thostname=""\n>\n{}</testsuite>\n')
CASE = '<testcase name="{}" time="{}" status="{}">{}<system-out>{}</system-out></testcase>\n'
SKIPPED = '<skipped message="SKIP_REGULAR_EXPRESSION_MATCHED"/>'


def case(name, status='run', seconds=0, output=''):
    return CASE.format(name, seconds, status, SKIPPED if status == 'notrun' else '', output)


def skipped(name, reason):
    return case(name, 'notrun', 0, f'[ RUN      ] {name}\n/x/y_test.cpp:12: Skipped\n{reason}\n'
                                   f'[  SKIPPED ] {name} (0 ms)\n')


class TotalResults(unittest.TestCase):
    def total(self, suites, *names, times=None):
        with tempfile.TemporaryDirectory() as root:
            (pathlib.Path(root) / 'tools').mkdir()
            tool = shutil.copy(TOOLS / 'total_results.py', pathlib.Path(root) / 'tools')
            results = pathlib.Path(root) / 'build/results'
            results.mkdir(parents=True)
            for name, content in suites.items():
                (results / f'{name}.xml').write_text(content)
            for name, content in (times or {}).items():
                (results / f'{name}.times').write_text(content)
            code, output, errors = run_script(tool, *names)
        self.assertEqual(errors, '')
        return code, output.splitlines()

    def test_adds_up(self):
        code, lines = self.total({'a': SUITE.format(10, 0, 0, 1, ''), 'b': SUITE.format(5, 0, 2, 0, '')},
                                 'a', 'b')
        self.assertEqual((code, lines[-1]), (0, '12 passed, 0 failed, 3 skipped'))

    def test_failure(self):
        code, lines = self.total({'a': SUITE.format(10, 2, 0, 0, case('x.y  # GetParam() = 4-byte object', 'fail'))}, 'a')
        self.assertEqual((code, lines[-1]), (1, '8 passed, 2 failed, 0 skipped'))
        self.assertEqual(lines[-2], 'failed: a: x.y')

    def test_missing_run_fails(self):
        for broken in ({}, {'b': '<testsuite tests="'}):
            code, lines = self.total({'a': SUITE.format(10, 0, 0, 0, ''), **broken}, 'a', 'b')
            self.assertEqual((code, lines[-1]), (1, '10 passed, 1 failed, 0 skipped'))
            self.assertEqual(lines[-2], 'failed: b has no results')

    def test_why_tests_are_skipped(self):
        cases = (skipped('a.1', 'no memory &amp; no\nluck') + skipped('a.2', 'no memory &amp; no luck')
                 + case('b', 'notrun', 0, 'some\nlast words\n') + case('c', 'notrun')
                 + case('d', 'disabled') + case('e'))
        _, lines = self.total({'x': SUITE.format(6, 0, 1, 4, cases)}, 'x')
        self.assertEqual([line for line in lines if line.startswith('skipped')],
                         ['skipped, 2: no memory & no luck (x: a.1, x: a.2)',
                          'skipped, 1: SKIP_REGULAR_EXPRESSION_MATCHED (x: c)',
                          'skipped, 1: disabled (x: d)',
                          'skipped, 1: last words (x: b)'])
        self.assertEqual(lines[-1], '1 passed, 0 failed, 5 skipped')

    def test_many_tests_with_the_same_reason(self):
        cases = ''.join(skipped(f't{i}', 'why') for i in range(7))
        _, lines = self.total({'x': SUITE.format(7, 0, 0, 7, cases)}, 'x')
        self.assertIn('skipped, 7: why (x: t0, x: t1, x: t2 and 4 more)', lines)

    def test_where_the_time_goes(self):
        cases = ''.join(case(f't{i}', seconds=i) for i in range(20))
        _, lines = self.total({'x': SUITE.format(20, 0, 0, 0, cases)}, 'x', 'y',
                              times={'x': 'configure 3\nbuild 200\ntest 71\n', 'y': 'configure 2\n'})
        self.assertEqual([line.split() for line in lines[:3]],
                         [['seconds', 'configure', 'build', 'test'], ['x', '3', '200', '71'],
                          ['y', '2', '-', '-']])
        self.assertEqual([line.split() for line in lines[4:14]],
                         [[f'{i}.0', f't{i}'] for i in range(19, 9, -1)])


if __name__ == '__main__':
    unittest.main()
