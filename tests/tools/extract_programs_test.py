import pathlib
import tempfile
import unittest

from planted import TOOLS, run_script

PROGRAM = '#include <a>\n\nint main() { return "\\n;"[0]; }\n'


class ExtractPrograms(unittest.TestCase):
    def extract(self, text):
        """What the tool writes for a page page.md with this text: name -> contents."""
        with tempfile.TemporaryDirectory() as root:
            page = pathlib.Path(root) / 'page.md'
            page.write_text(text)
            out = pathlib.Path(root) / 'out'
            code, output, errors = run_script(TOOLS / 'extract_programs.py', out, page)
            self.assertEqual((code, errors), (0, ''))
            files = {f.name: f.read_text() for f in out.iterdir()}
            self.assertEqual(output.split(), [str(out / name) for name in files])
        return files

    def test_program_as_it_stands(self):
        self.assertEqual(self.extract(f'# A\n```sh\nls\n```\n```cpp\n{PROGRAM}```\n'),
                         {'page_1.cpp': PROGRAM})

    def test_fragments_are_counted_and_left_out(self):
        self.assertEqual(self.extract(f'```cpp\nint a;\n```\n```cpp\n{PROGRAM}```\n'),
                         {'page_2.cpp': PROGRAM})

    def test_no_programs(self):
        self.assertEqual(self.extract('# A\n'), {})


if __name__ == '__main__':
    unittest.main()
