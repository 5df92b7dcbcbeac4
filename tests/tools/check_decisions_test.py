import unittest

from planted import PlantedTest

RECORD = '# Why so\n\n**Status.** Accepted, 2026-11-22.\n\n**Decided.** So.\n'


class CheckDecisions(PlantedTest):
    tool = 'check_decisions.py'

    def run_on(self, record, index='* [Why so](so.md)\n', nav='- decisions/so.md\n'):
        code, output = self.run_tool({'docs/decisions/so.md': record, 'docs/decisions/index.md': index,
                                      'docs/decisions/_template.md': '# X\n', 'mkdocs.yml': nav})
        return code, output

    def test_status(self):
        self.assertEqual(self.run_on(RECORD)[0], 0)
        for status in 'Proposed', 'Superseded by [that](later.md)':
            self.assertEqual(self.run_on(RECORD.replace('Accepted', status))[0], 0)
        for bad in RECORD.replace('Accepted', 'Done'), RECORD.replace(', 2026-11-22', ''), '# Why so\n\nSo.\n':
            code, output = self.run_on(bad)
            self.assertEqual(code, 1)
            self.assertIn('docs/decisions/so.md: no status with a date', output)
        self.assertIn('does not begin with a title', self.run_on('So.\n')[1])

    def test_can_be_found(self):
        self.assertIn('not in index.md', self.run_on(RECORD, index='* [Why](so.md)\n')[1])
        self.assertIn('not in mkdocs.yml', self.run_on(RECORD, nav='- decisions/no.md\n')[1])


if __name__ == '__main__':
    unittest.main()
