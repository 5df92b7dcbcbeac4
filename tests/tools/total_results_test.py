"""The closing line of a run, and that a lost result file is a failure."""

import pathlib
import shutil
import subprocess
import tempfile
import unittest

TOOLS = pathlib.Path(__file__).resolve().parents[2] / 'tools'
SUITE = ('<?xml version="1.0" encoding="UTF-8"?>\n<testsuite name="(empty)"\n\ttests="{}"\n'
         '\tfailures="{}"\n\tdisabled="0"\n\tskipped="{}"\n\thostname=""\n>\n</testsuite>\n')


class TotalResults(unittest.TestCase):
    def total(self, suites, *names):
        with tempfile.TemporaryDirectory() as root:
            (pathlib.Path(root) / 'tools').mkdir()
            shutil.copy(TOOLS / 'total-results.sh', pathlib.Path(root) / 'tools')
            results = pathlib.Path(root) / 'build/results'
            results.mkdir(parents=True)
            for name, numbers in suites.items():
                (results / f'{name}.xml').write_text(SUITE.format(*numbers))
            done = subprocess.run([pathlib.Path(root) / 'tools/total-results.sh', *names],
                                  capture_output=True, text=True, check=False)
        return done.returncode, done.stdout.splitlines()

    def test_adds_up(self):
        code, lines = self.total({'a': (10, 0, 1), 'b': (5, 0, 0)}, 'a', 'b')
        self.assertEqual((code, lines), (0, ['1 skipped', '14 passed, 0 failed']))

    def test_failure(self):
        code, lines = self.total({'a': (10, 2, 0)}, 'a')
        self.assertEqual((code, lines[-1]), (1, '8 passed, 2 failed'))

    def test_missing_run_fails(self):
        code, lines = self.total({'a': (10, 0, 0)}, 'a', 'b')
        self.assertEqual((code, lines[-1]), (1, '10 passed, 1 failed'))


if __name__ == '__main__':
    unittest.main()
