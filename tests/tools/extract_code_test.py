import pathlib
import subprocess
import tempfile
import unittest

TOOL = pathlib.Path(__file__).resolve().parents[2] / 'tools/extract_code.sh'


class ExtractCode(unittest.TestCase):
    def extract(self, text):
        with tempfile.TemporaryDirectory() as root:
            page = pathlib.Path(root) / 'a.md'
            page.write_text(text)
            done = subprocess.run([TOOL, page], capture_output=True, text=True, check=False)
        return done.returncode, done.stdout

    def test_first_block_as_it_stands(self):
        self.assertEqual(self.extract('# A\n```sh\nls\n```\n```cpp\nint a; // "\\n;"\n\nint b;\n```\n```cpp\nint c;\n```\n'),
                         (0, 'int a; // "\\n;"\n\nint b;\n'))

    def test_no_block(self):
        self.assertEqual(self.extract('# A\n'), (1, ''))


if __name__ == '__main__':
    unittest.main()
