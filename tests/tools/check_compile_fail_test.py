import pathlib
import tempfile
import unittest

from planted import TOOLS, run_script


def mistake(*lines):
    return '\n'.join(['#if MISTAKE == __LINE__', *lines, '#endif', ''])


LARGE = 'static_assert(sizeof(int) == 1, "an int is larger");'
SMALL = 'static_assert(sizeof(int) == 100, "an int is smaller");'


class CheckCompileFail(unittest.TestCase):
    def check(self, text):
        with tempfile.TemporaryDirectory() as root:
            file = pathlib.Path(root) / 'a.cpp'
            file.write_text(text)
            code, _, errors = run_script(TOOLS / 'check_compile_fail.py', file, 'c++')
        return code, errors

    def assert_caught(self, text, message):
        code, output = self.check(text)
        self.assertEqual(code, 1, output)
        self.assertIn(message, output)

    def test_right_messages(self):
        self.assertEqual(self.check(mistake('// error: an int is larger', LARGE)
                                    + mistake('// error: an int  is smaller', SMALL)), (0, ''))

    def test_other_message(self):
        self.assert_caught(mistake('// error: an int is larger', '// error: it captures', LARGE),
                           'a.cpp:1: the compiler never says: it captures')

    def test_message_of_another_mistake(self):
        self.assert_caught(mistake('// error: an int is larger', LARGE)
                           + mistake('// error: an int is larger', SMALL),
                           'a.cpp:5: the compiler never says: an int is larger')

    def test_message_in_the_source_alone(self):
        self.assert_caught(mistake('// error: of the name', 'int n = gone(); // of the name'),
                           'the compiler never says: of the name')

    def test_one_mistake_of_two_compiles(self):
        self.assert_caught(mistake('// error: an int is larger', LARGE)
                           + mistake('// error: an int is larger', 'int right;'),
                           'a.cpp:5: compiles')

    def test_one_message_too_many(self):
        two = ('// error: an int is larger', LARGE, SMALL)
        self.assertEqual(self.check(mistake(*two))[0], 0)
        self.assert_caught(mistake('// never: is smaller', *two),
                           'a.cpp:1: the compiler also says: is smaller')

    def test_another_message_first(self):
        self.assert_caught(mistake('// error: an int is larger', SMALL, LARGE),
                           'the compiler first says: error:')

    def test_dropped_result(self):
        self.assertEqual(self.check('[[nodiscard("keep it")]] int f();\n'
                                    'void use() {\n'
                                    + mistake('// error: keep it', 'f();') + '}\n'), (0, ''))

    def test_never_compiles(self):
        self.assert_caught('int a\n' + mistake('// error: b', LARGE), 'even without')

    def test_correct_code_is_not_compiled_with_a_mistake(self):
        uses_it = mistake('// error: correct', 'int n = correct;')
        self.assertEqual(self.check('#if !MISTAKE\nint correct;\n#endif\n' + uses_it), (0, ''))
        self.assert_caught('int correct;\n' + uses_it, 'a.cpp:2: compiles')
        self.assert_caught('#if !MISTAKE\nint correct\n#endif\n' + uses_it, 'even without')

    def test_no_message_wanted(self):
        self.assert_caught(mistake(LARGE), 'a.cpp:1: no line says')

    def test_no_mistakes(self):
        self.assert_caught('int a;\n// error: b\n', 'no mistakes')


if __name__ == '__main__':
    unittest.main()
