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
                             ('It wakes the one that waits.', 'noun')):
            self.assert_caught('README.md', text, better)

    def test_a_phrase_over_two_lines(self):
        self.assert_caught('docs/guide/a.md', 'One line.\nA value goes there\nand back.\n', 'docs/guide/a.md:2:')

    def test_code_and_links_are_not_prose(self):
        self.assert_clean('docs/a.md', '```cpp\nint x = 0;  // nobody reads it\n```\n'
                                       'See `who_looks` and [spinning](who-looks.md).\n')

    def test_what_it_leaves_behind(self):
        self.assert_clean('docs/a.md', 'A task that leaves\nbehind a process, and a process left behind.')

    def test_comments_of_public_headers(self):
        self.assert_caught('include/procpool/a.hpp', 'int f();  // whoever\n', '"whoever"')
        self.assert_caught('include/procpool/a.hpp', '// Wakes the one\n// that waits.\nint f();\n', 'a.hpp:1:')
        self.assert_clean('include/procpool/a.hpp', 'constexpr owner nobody{};\n')

    def test_messages(self):
        self.assert_caught('src/pool/a.cpp', 'auto s = "nobody asked";\n', '"nobody"')
        self.assert_clean('src/pool/a.cpp', '#include "os/behind.hpp"\nauto c = \'"\';  // nobody\n')


if __name__ == '__main__':
    unittest.main()
