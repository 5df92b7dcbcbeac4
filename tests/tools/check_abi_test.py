"""`make abi` compares with the last release, or with the commit that it is given, and says what abidiff found."""

import os
import pathlib
import shutil
import subprocess
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]


@unittest.skipUnless(shutil.which('git'), 'there is no git')
class CheckAbi(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = pathlib.Path(folder.name)
        for name in 'tools', 'bin':
            (self.root / name).mkdir()
        shutil.copy(ROOT / 'tools/check_abi.sh', self.root / 'tools')
        for name, text in ('cmake', 'exit 0'), ('abidiff', 'exit $FOUND'):
            (self.root / 'bin' / name).write_text(f'#!/bin/sh\n{text}\n')
            (self.root / 'bin' / name).chmod(0o755)
        # Neither a hook that runs this test nor the settings of the user have a say.
        self.environment = {'PATH': f'{self.root}/bin:{os.environ["PATH"]}', 'HOME': folder.name,
                            'GIT_CONFIG_NOSYSTEM': '1'}
        self.git('init', '--quiet')
        self.commit()

    def git(self, *arguments):
        subprocess.run(['git', '-c', 'user.name=n', '-c', 'user.email=n@localhost', *arguments],
                       cwd=self.root, env=self.environment, check=True, capture_output=True)

    def commit(self):
        self.git('commit', '--quiet', '--allow-empty', '-m', 'a change')

    def check(self, *arguments, found=0):
        done = subprocess.run(['tools/check_abi.sh', *arguments], cwd=self.root, text=True,
                              env=self.environment | {'FOUND': str(found)}, capture_output=True)
        return done.returncode, done.stdout + done.stderr

    def test_before_the_first_release_there_is_nothing_to_compare(self):
        status, said = self.check()
        self.assertEqual(status, 0, said)
        self.assertIn('git knows no release', said)

    def test_the_last_release_is_the_default(self):
        for tag in 'v0.1.0', 'v0.2.0', 'v0.3.0':
            self.git('tag', tag)
            if tag != 'v0.3.0':  # the last one is this commit itself
                self.commit()
        status, said = self.check()
        self.assertEqual((status, said), (0, 'check_abi: nothing differs from v0.2.0\n'))

    def test_a_commit_can_be_named(self):
        self.commit()
        self.assertEqual(self.check('HEAD^'), (0, 'check_abi: nothing differs from HEAD^\n'))
        status, said = self.check('v9')
        self.assertEqual((status, said), (2, 'check_abi: no commit is named v9\n'))

    def test_what_differs_is_said(self):
        status, said = self.check('HEAD', found=4)
        self.assertEqual(status, 0, said)
        self.assertIn('only additions', said)
        status, said = self.check('HEAD', found=12)
        self.assertEqual(status, 12, said)
        self.assertIn('is broken', said)

    def test_a_run_that_was_killed_leaves_nothing_in_the_way(self):
        (self.root / 'build/abi/base').mkdir(parents=True)
        (self.root / 'build/abi/base/file').touch()
        self.assertEqual(self.check('HEAD')[0], 0)


if __name__ == '__main__':
    unittest.main()
