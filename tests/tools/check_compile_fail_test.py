import pathlib
import subprocess
import sys
import tempfile
import unittest

TOOL = pathlib.Path(__file__).resolve().parents[2] / 'tools/check_compile_fail.py'
MISTAKE = '#ifdef PROCPOOL_COMPILE_FAIL\nstatic_assert(sizeof(int) == 1, "an int is larger");\n#endif\n'


class CheckCompileFail(unittest.TestCase):
    def check(self, text):
        with tempfile.TemporaryDirectory() as root:
            file = pathlib.Path(root) / 'a.cpp'
            file.write_text(text)
            done = subprocess.run([sys.executable, TOOL, file, 'c++'],
                                  capture_output=True, text=True, check=False)
        return done.returncode, done.stderr

    def test_right_message(self):
        self.assertEqual(self.check(MISTAKE + '// error: an int is larger\n'), (0, ''))

    def test_other_message(self):
        code, output = self.check(MISTAKE + '// error: a task cannot capture\n')
        self.assertEqual(code, 1)
        self.assertIn('never says\na task cannot capture', output)

    def test_compiles_after_all(self):
        self.assertIn('mistakes and all', self.check('int a;\n// error: b\n')[1])

    def test_never_compiles(self):
        self.assertIn('even without', self.check('int a\n// error: b\n')[1])

    def test_no_message_wanted(self):
        self.assertEqual(self.check(MISTAKE)[0], 1)


if __name__ == '__main__':
    unittest.main()
