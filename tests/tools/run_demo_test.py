"""`make demo` hands its options on as they are, whatever the folder is called."""

import os
import pathlib
import shutil
import subprocess
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
# Says how it was called, and "builds" a program that does so, too.
CMAKE = '''#!/bin/sh
printf '[%s]' cmake "$@"; echo
mkdir -p build/demo/demo
printf '%s\\n' '#!/bin/sh' "printf '[%s]' demo \\"\\$@\\"" >build/demo/demo/word_stats
chmod +x build/demo/demo/word_stats
'''


class RunDemo(unittest.TestCase):
    def demo(self, *variables):
        with tempfile.TemporaryDirectory() as name:
            root = pathlib.Path(name)
            (root / 'tools').mkdir()
            (root / 'bin').mkdir()
            shutil.copy(ROOT / 'Makefile', root)
            shutil.copy(ROOT / 'tools/run-demo.sh', root / 'tools')
            for file, text in ('tools/install-deps.sh', '#!/bin/sh\n'), ('bin/cmake', CMAKE):
                (root / file).write_text(text)
                (root / file).chmod(0o755)
            environment = {'PATH': f'{root}/bin:{os.environ["PATH"]}'}
            done = subprocess.run(['make', '-s', 'demo', *variables], cwd=root, env=environment,
                                  capture_output=True, text=True, check=True)
            self.assertIn('building the library and the demo', done.stderr)
            return done.stdout, (root / 'build/demo.log').read_text()

    def test_plain(self):
        self.assertEqual(self.demo()[0], '[demo]')

    def test_options(self):
        output, _ = self.demo('''DIR=/it's "my" folder''', 'CHAOS=1')
        self.assertEqual(output, '''[demo][--dir][/it's "my" folder][--chaos]''')

    def test_jobs(self):
        _, log = self.demo('JOBS=7')
        self.assertIn('[--build][build/demo][--parallel][7]', log)


if __name__ == '__main__':
    unittest.main()
