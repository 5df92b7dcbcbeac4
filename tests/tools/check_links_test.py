import pathlib
import unittest

from planted import PlantedTest


class CheckLinks(PlantedTest):
    tool = 'check_links.py'

    def test_markdown(self):
        self.assert_caught('a.md', '[b](b.md)\n', 'b.md: not there')
        self.assert_caught('docs/a.md', 'see\n[b](../docs/c/b.md#x) there\n', 'a.md:2')
        self.assert_clean('a.md', '[me](a.md), [here](.), [host](https://example.org/none.md)\n')
        self.assert_clean('a.md', 'no link: `[b](b.md)`\n```\nf[i](x.md);\n```\n')

    def test_headings(self):
        text = '# A `map`: why?\n[up](#a-map-why), [far](a.md#a-map-why)\n'
        self.assert_clean('a.md', text)
        self.assert_caught('a.md', text.replace('(#a', '(#b'), '#b-map-why: not there')
        self.assert_caught('a.md', text.replace('.md#a', '.md#b'), 'a.md#b-map-why: not there')

    def test_html(self):
        page = '<h1 id="top">x</h1>\n<a href="{}">y</a><img src="{}">'
        self.assert_clean('a.html', page.format('#top', 'a.html'))
        self.assert_clean('a%20b/a.html'.replace('%20', ' '), page.format('../a%20b/a.html', ''))
        self.assert_caught('a.html', page.format('b.html', ''), 'a.html:2: b.html: not there')
        self.assert_caught('a.html', page.format('#end', ''), '#end: not there')
        self.assert_caught('a.html', page.format('', 'none.png'), 'none.png: not there')

    def test_several_files(self):
        code, output = self.run_tool({'a.html': '<a href="b.md#x">', 'b.md': '# X\n', 'c.txt': '[](d)'})
        self.assertEqual((code, pathlib.Path(output).name), (0, 'check_links.py: 2 files, 0 errors\n'))

    def test_source_files(self):
        tree = {'src/pool/pool.cpp': '', 'include/procpool/detail/task/thunks.hpp': '',
                'include/procpool/map.hpp': '', 'tools/a.py': '',
                'tests/api/pool_test.cpp': 'TEST_P(pool_test, ends_once) {}\nTEST(pool_test,\n     ends_twice) {}\n',
                'components/remote/tests/call_test.cpp': 'TEST_F(call_test, ends) {}\n'}

        def run(text, name='docs/a.md'):
            code, output = self.run_tool(tree | {name: text})
            return [line.split(': ')[1] for line in output.splitlines()[:-1]] if code else []

        self.assertEqual(run('`src/pool/pool.cpp`, `pool/pool.cpp`, `pool.cpp`, `src/pool`, `src/pool/`'), [])
        self.assertEqual(run('`detail/task/thunks.hpp`, `procpool/map.hpp`, `tools/a.py b c`'), [])
        self.assertEqual(run('`src/parent/pool.cpp`'), ['src/parent/pool.cpp'])
        self.assertEqual(run('`parent/pool.cpp` and `pond.cpp`'), ['parent/pool.cpp', 'pond.cpp'])
        self.assertEqual(run('see `src/parent`'), ['src/parent'])
        self.assertEqual(run('`detail/thunks.hpp`, `tools/b.py c`'), ['detail/thunks.hpp', 'tools/b.py'])
        # Tests, with and without the name of a case; what is no test of ours is no name of a file.
        self.assertEqual(run('`api/pool`, `api/pool: ends_once`, `and/or`, `std/pool`'), [])
        self.assertEqual(run('`api/pond`, `api/pond: ends_once`'), ['api/pond', 'api/pond'])
        self.assertEqual(run('`remote/call: ends` and `remote/cell`'), ['remote/cell'])
        # The cases of a test.
        self.assertEqual(run('`api/pool: ends_once`, `ends_twice`, `pool: ends_twice`, `note: none`'), [])
        self.assertEqual(run('`api/pool: ends`'), ['pool'])
        self.assertEqual(run('`pool: ends_once`, `ends`'), ['pool'])
        # Code, placeholders and the past.
        self.assertEqual(run('```\ng++ `app.cpp`\n```\n`tests/<folder>/<unit>_test.cpp`'), [])
        self.assertEqual(run('`src/parent/pool.cpp`', 'CHANGELOG.md'), [])


if __name__ == '__main__':
    unittest.main()
