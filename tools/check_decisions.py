#!/usr/bin/env python3
"""Each record of a decision has a status with its date, and can be found: tools/check_decisions.py [root]

Looks at docs/decisions: the status is the second paragraph, and the index and mkdocs.yml have a line
for the record.
"""

import re

from source_text import report, root_from_arguments

_STATUS = re.compile(r'\*\*Status\.\*\* (Proposed|Accepted|Superseded by \[[^\]]+\]\([\w-]+\.md\)), '
                     r'\d{4}-\d\d-\d\d\.')


def why_wrong(text, name, index, nav):
    """What is missing in the record, or for it."""
    paragraphs = text.split('\n\n')
    title = paragraphs[0].removeprefix('# ')
    if not paragraphs[0].startswith('# ') or len(paragraphs) < 2:
        yield 'does not begin with a title and a status'
    elif not _STATUS.fullmatch(paragraphs[1]):
        yield 'no status with a date below the title: see _template.md'
    if f'[{title}]({name})' not in index:
        yield f'not in index.md as "{title}"'
    if f'decisions/{name}' not in nav:
        yield 'not in mkdocs.yml'


def main():
    root = root_from_arguments()
    folder = root / 'docs/decisions'
    index, nav = (folder / 'index.md').read_text(), (root / 'mkdocs.yml').read_text()
    records = sorted(p for p in folder.glob('*.md') if p.name not in ('index.md', '_template.md'))
    errors = [f'{path.relative_to(root)}: {why}' for path in records
              for why in why_wrong(path.read_text(), path.name, index, nav)]
    report(errors, len(records))


if __name__ == '__main__':
    main()
