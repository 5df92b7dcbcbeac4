import unittest

from planted import PlantedTest


class CheckProse(PlantedTest):
    tool = 'check_prose.py'

    def test_people_who_are_processes(self):
        for text in ('Whoever waits, looks.', 'The lock wakes who sleeps.', 'A process unlocks what he has.',
                     'Nobody hangs.', "It is nobody's child.", 'A call ends when somebody else closes it.'):
            self.assert_caught('docs/a.md', text, ':1: "')

    def test_people_may_be_people(self):
        self.assert_clean('docs/a.md', 'A user who needs secrecy has ssh, and an attacker\nwho listens none.')

    def test_riddles(self):
        for text, better in (('It goes on upon the thread.', 'on'), ('It is behind the end.', 'past'),
                             ('A worker lets go of it.', 'release'), ('It is to be closed.', 'must be'),
                             ('A value goes there and back.', 'round trip'), ('It shall end.', 'should'),
                             ('The queue has so many as fit.', 'up to'), ('He waits for that one.', 'noun'),
                             ('It wakes the one that waits.', 'noun'), ('The queue of the latter.', 'name it'),
                             ('The pool goes on.', 'continue'), ('It ends all the same.', 'anyway'),
                             ('A waiter hears of it.', 'notice'), ('A function that is none.', 'invalid'),
                             ('No slot can be had.', 'available'), ('Files that are there.', 'exists'),
                             ('Someone waits.', 'some'), ("It is the old one's place.", 'name it'),
                             ('All but for one.', 'except'), ('It waits in vain.', 'success'),
                             ('Something else than a value.', 'other than'), ('Lest it end.', 'today')):
            self.assert_caught('README.md', text, better)

    def test_what_only_looks_like_a_riddle(self):
        for text in ('The former thread ends.', 'A block goes on the free list.', 'All samples are the same.',
                     'Anyone may call it.', 'It goes on to the next slot.'):
            self.assert_clean('README.md', text)

    def test_a_phrase_over_two_lines(self):
        self.assert_caught('docs/guide/a.md', 'One line.\nA value goes there\nand back.\n', 'docs/guide/a.md:2:')

    def test_code_and_links_are_not_prose(self):
        self.assert_clean('docs/a.md', '```cpp\nint x = 0;  // nobody reads it\n```\n'
                                       'See `who_looks` and [spinning](who-looks.md).\n')

    def test_what_it_leaves_behind(self):
        self.assert_clean('docs/a.md', 'A task that leaves\nbehind a process, and a process left behind.')

    def test_comments(self):
        self.assert_caught('include/procpool/a.hpp', 'int f();  // whoever\n', '"whoever"')
        self.assert_caught('include/procpool/a.hpp', '// Wakes the one\n// that waits.\nint f();\n', 'a.hpp:1:')
        self.assert_clean('include/procpool/a.hpp', 'constexpr owner nobody{};\n')
        self.assert_caught('src/pool/a.cpp', 'int f();  // nobody calls it\n', '"nobody"')
        self.assert_clean('src/pool/a.cpp', 'int f();  // see docs/decisions/who-looks.md\n')
        self.assert_caught('components/remote/src/remote/a.cpp', '/* nobody */', '"nobody"')

    def test_tests_and_programs_have_comments_and_no_messages(self):
        for path in ('tests/api/a_test.cpp', 'components/remote/tests/a_test.cpp', 'examples/a.cpp',
                     'demo/a.cpp', 'benchmarks/a.cpp'):
            self.assert_caught(path, 'int f();  // nobody calls it\n', '"nobody"')
            self.assert_clean(path, 'auto s = "nobody";\n')

    def test_messages(self):
        self.assert_caught('src/pool/a.cpp', 'auto s = "nobody asked";\n', '"nobody"')
        self.assert_clean('src/pool/a.cpp', '#include "os/behind.hpp"\nauto c = \'"\';\n')

    def test_names_of_tests(self):
        for macro in ('TEST', 'TEST_F', 'TEST_P'):
            self.assert_caught('tests/api/a_test.cpp', macro + '(a_test,\n       nobody_waits) {}\n', ':2: "nobody"')
        self.assert_caught('components/remote/tests/a_test.cpp', 'TEST(a_test, it_goes_on) {}\n', '"goes on"')
        self.assert_clean('tests/api/a_test.cpp', 'TEST(a_test, it_goes) { nobody(); }\n'
                                                  'TEST(a_test, on_a_thread) {}\n')


if __name__ == '__main__':
    unittest.main()
