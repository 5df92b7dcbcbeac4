import pathlib
import subprocess
import sys
import tempfile
import unittest

TOOL = pathlib.Path(__file__).resolve().parents[2] / 'tools/doxygen_filter.py'


class DoxygenFilter(unittest.TestCase):
    def filtered(self, text):
        with tempfile.TemporaryDirectory() as root:
            file = pathlib.Path(root) / 'a.hpp'
            file.write_text(text)
            done = subprocess.run([sys.executable, TOOL, file], capture_output=True, text=True, check=True)
        return done.stdout

    def test_opening_comment_describes_the_file(self):
        for text in ('// What.\n// More.\n#pragma once\n', '#pragma once\n\n// What.\n// More.\n'):
            self.assertIn('/// @file a.hpp What.\n/// More.\n', self.filtered(text))

    def test_comments_above_and_behind(self):
        self.assertEqual(self.filtered('#include <a>\n// Above.\nint a;  // behind\n'),
                         '#include <a>\n/// Above.\nint a;  ///< behind\n')

    def test_text_is_no_markup(self):
        self.assertIn(r'/// a vector\<T\> in \#if, `b<T>`', self.filtered('int a;\n// a vector<T> in #if, `b<T>`\n'))

    def test_strings_are_left_alone(self):
        line = 'auto url = "http://a";\n'
        self.assertEqual(self.filtered(line), line)


if __name__ == '__main__':
    unittest.main()
