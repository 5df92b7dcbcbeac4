import unittest

from planted import PlantedTest


class CheckIncludes(PlantedTest):
    tool = 'check_includes.py'

    def test_a_name_without_its_header(self):
        self.assert_caught('tests/programs/a.cpp', 'std::uint16_t port = 0;\n',
                           'a.cpp:1: std::uint16_t without <cstdint>')
        self.assert_caught('src/os/a.cpp', '#include <string>\nint x = std::max(1, 2);\n',
                           'a.cpp:2: std::max without <algorithm>')
        self.assert_caught('demo/a.cpp', '#include <vector>\nvoid f(std::exception_ptr);\n', '<exception>')

    def test_a_header_of_c(self):
        self.assert_clean('src/os/a.cpp', '#include <string.h>\nvoid f() { std::memcpy(a, b, 1); }\n')

    def test_a_header_that_includes_another_by_the_standard(self):
        self.assert_clean('src/os/a.cpp',
                          '#include <vector>\nvoid f(std::initializer_list<int>);\n')

    def test_names_that_only_look_like_it(self):
        self.assert_clean('src/os/a.cpp', '// std::vector\nother::std::vector<int> x; my_std::map m;\n')

    def test_by_way_of_an_own_header(self):
        code, output = self.run_tool({
            'src/os/a.hpp': '#include <vector>\n#include "os/b.hpp"\n',
            'src/os/b.hpp': '#include "os/a.hpp"\n',  # a cycle ends
            'src/os/c.cpp': '#include "os/b.hpp"\nstd::vector<int> x;\n',
            'src/os/d.cpp': 'std::vector<int> x;\n'})
        self.assertEqual(code, 1, output)
        self.assertIn('d.cpp:1', output)
        self.assertNotIn('c.cpp', output)

    def test_a_part_of_a_header_is_enough_for_the_library(self):
        part = {'include/procpool/detail/std/chrono.hpp': '#include <chrono>\n',
                'include/procpool/time.hpp': '#include "procpool/detail/std/chrono.hpp"\n'}
        user = '#include "procpool/time.hpp"\nstd::chrono::seconds s;\n'
        code, output = self.run_tool({**part, 'src/os/a.cpp': user, 'tests/a.cpp': user,
                                      'tests/b.cpp': '#include <chrono>\n' + user})
        self.assertEqual(code, 1, output)
        self.assertIn('tests/a.cpp:2: std::chrono without <chrono>', output)
        self.assertNotIn('src/os/a.cpp', output)
        self.assertNotIn('tests/b.cpp', output)


if __name__ == '__main__':
    unittest.main()
