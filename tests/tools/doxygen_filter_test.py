import pathlib
import tempfile
import unittest

from planted import TOOLS, run_script


class DoxygenFilter(unittest.TestCase):
    def filtered(self, text, name='a.hpp'):
        with tempfile.TemporaryDirectory() as root:
            file = pathlib.Path(root) / name
            file.write_text(text)
            code, output, errors = run_script(TOOLS / 'doxygen_filter.py', file)
        self.assertEqual((code, errors), (0, ''))
        return output

    def test_opening_comment_describes_the_file(self):
        for text in ('// What.\n// More.\n#pragma once\n', '#pragma once\n\n// What.\n// More.\n'):
            self.assertIn('/// @file a.hpp What.\n/// More.\n', self.filtered(text))

    def test_opening_comment_describes_its_class(self):
        text = '// procpool::box<T>: a thing.\n//\n//   box<int> b;\n//\n// More.\n#pragma once\nclass box {\n};\n'
        self.assertEqual(self.filtered(text),
                         '/** @file a.hpp */ /** @class procpool::box\n A thing.\n @code{.cpp}\n   box<int> b;\n'
                         ' @endcode\n More. */\nclass box {\n};\n')
        self.assertEqual(self.filtered(text).count('\n'), text.count('\n'))

    def test_opening_comment_describes_its_function(self):
        text = ('// procpool::fold(f, xs): f over\n// all.\n//\n//   fold(f, xs);\n#pragma once\n\n'
                'template <class F>\nauto fold(F f) {\n}\n')
        out = self.filtered(text)
        self.assertIn('/** f over all. See a.hpp. */ template <class F>\nauto fold(F f) {\n', out)
        self.assertEqual(out.count('\n'), text.count('\n'))

    def test_comment_above_nothing_describes_its_class(self):
        text = '#include <a>\nclass box {\n  int a();\n\n  // About\n  // it.\n\n  // B.\n  int b();\n};\n'
        self.assertEqual(self.filtered(text),
                         '#include <a>\nclass box {\n  int a();\n\n/** @class procpool::box\n About\n it. */\n'
                         '  /// B.\n  int b();\n};\n')

    def test_overloads_share_a_comment(self):
        text = ('#include <a>\nclass box {\n  // Puts\n  // it.\n  void put(int a) {\n    f(a);\n  }\n'
                '  template <class T>\n    requires ok<T>\n  void put(T&& a);\n  void take();\n\n  void put();\n};\n'
                'class bag {\n  // Makes.\n  bag(int a);\n  bag(bag&& b);\n  bag(detail::x c);\n};\n')
        out = self.filtered(text)
        self.assertIn('  /** Puts it. */ template <class T>\n    requires ok<T>\n  void put(T&& a);\n  void take();\n', out)
        self.assertIn('\n\n  void put();\n', out)
        self.assertIn('  bag(int a);\n  bag(bag&& b);\n/** @cond */   bag(detail::x c); /** @endcond */\n', out)
        self.assertEqual(out.count('\n'), text.count('\n'))

    def test_what_is_not_for_users_is_left_out(self):
        text = ('#include <a>\nclass box {\n  friend class bag;\n  box(const box&) = delete;\n  // Ends.\n  ~box() = default;\n'
                '  // For the library: all.\n  int native() {\n    return 0;\n  }\n};\n')
        self.assertEqual(self.filtered(text),
                         '#include <a>\nclass box {\n/** @cond */   friend class bag; /** @endcond */\n/** @cond */   box(const box&) = delete; /** @endcond */\n'
                         '  /// Ends.\n  ~box() = default;\n  // For the library: all.\n'
                         '/** @cond */   int native() {\n    return 0;\n  } /** @endcond */\n};\n')

    def test_headers_have_groups(self):
        text = 'namespace procpool {\nint a;\n}  // namespace procpool\n'
        self.assertEqual(self.filtered(text), text)
        self.assertEqual(self.filtered(text, 'mutex.hpp'),
                         'namespace procpool { /** @addtogroup toolbox */ /** @{ */\nint a;\n/** @} */ }  // namespace procpool\n')

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
