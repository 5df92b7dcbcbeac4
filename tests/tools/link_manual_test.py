import pathlib
import sys
import unittest

TOOLS = pathlib.Path(__file__).resolve().parents[2] / 'tools'
sys.path.insert(0, str(TOOLS))

import link_manual  # noqa: E402  pylint: disable=wrong-import-position

NAMES = {'future': ('classfuture.html', True), 'error': ('classerror.html', True),
         'wait': ('namespace.html#w', False), 'submit': ('classbasic.html#s', False)}


class LinkManual(unittest.TestCase):
    def linked(self, body):
        page = link_manual.link_page(f'<nav><code>future</code></nav><article>{body}</article>', NAMES, '../reference/')
        self.assertTrue(page.startswith('<nav><code>future</code></nav><article>'))
        return page[page.index('<article>') + 9:page.rindex('</article>')]

    def test_names_become_links(self):
        for text, to in (('wait', 'namespace.html#w'), ('pp::wait(fs, {})', 'namespace.html#w'),
                         ('pool.submit(f)', 'classbasic.html#s')):
            self.assertEqual(self.linked(f'<p><code>{text}</code></p>'),
                             f'<p><a href="../reference/{to}"><code>{text}</code></a></p>')
        self.assertIn('<a href="../reference/classfuture.html"><code>future&lt;int&gt;</code></a>',
                      self.linked('<code>future&lt;int&gt;</code>'))

    def test_other_names_do_not(self):
        for text in ('std::future', 'error()', 'f.wait()', 'futures', 'a future'):
            self.assertNotIn('"><code>' + text, self.linked(f'<p><code>{text}</code></p>'))
        for text in ('<a href="x"><code>wait</code></a>', '<h2><code>wait</code></h2>'):
            self.assertEqual(self.linked(text), text)

    def test_the_classes_of_a_page_are_listed(self):
        code = '<div class="highlight"><pre><span>pp</span>::<span>future</span>&lt;int&gt; f;</pre></div>'
        self.assertEqual(self.linked(code), code + '<p class="in-reference">In the reference: '
                         '<a href="../reference/classfuture.html"><code>future</code></a></p>\n')

    def test_classes_have_the_pages_of_the_guide(self):
        page = '<code>#include &lt;<a href="x">procpool/barrier.hpp</a>&gt;</code><p>Inherits detail::sync_handle.</p>.'
        self.assertEqual(link_manual.link_class(page, {'guide/locks-and-queues': 'Locks'}),
                         '<code>#include &lt;<a href="x">procpool/barrier.hpp</a>&gt;</code><p class="in-guide">'
                         'In the guide: <a href="../guide/locks-and-queues.html">Locks</a></p>.')

    def test_wide_code(self):
        block = '<div class="highlight"><pre>{}\n</pre></div>'
        self.assertEqual(list(link_manual.wide_lines(block.format('<i>' + 116 * 'x' + '</i>'))), [])
        self.assertEqual(list(link_manual.wide_lines(block.format(117 * 'x'))), [117 * 'x'])


if __name__ == '__main__':
    unittest.main()
