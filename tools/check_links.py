#!/usr/bin/env python3
"""Relative links lead somewhere: tools/check_links.py <file or folder>...

Looks at the Markdown and HTML files named or below the folders: the target has to be there, and so
has the heading or element that a #fragment names. Links to other hosts are not followed.
"""

import html.parser
import pathlib
import re
import sys
import urllib.parse

from source_text import report

_FENCE = re.compile(r'^( *)```.*?^\1```', re.M | re.S)
_CODE = re.compile(r'`[^`\n]*`')
# Doxygen offers this section of classes whose only nested class is private, and leaves it out.
_NOT_OURS = {'nested-classes'}
_LINK = re.compile(r'\]\(([^)\s]+)\)')


class _Page(html.parser.HTMLParser):
    def __init__(self):
        super().__init__()
        self.links, self.anchors = [], set()

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        self.anchors.update(attributes[a] for a in ('id', 'name') if attributes.get(a))
        for name in 'href', 'src':
            if attributes.get(name):
                self.links.append((self.getpos()[0], attributes[name]))


def _from_html(text):
    page = _Page()
    page.feed(text)
    return page.links, page.anchors


def _slug(heading):
    """As GitHub and mkdocs name a heading's anchor."""
    plain = re.sub(r'[^\w\- ]', '', re.sub(r'\[([^]]*)\]\([^)]*\)', r'\1', heading))
    return re.sub(r'\s+', '-', plain.strip().lower())


def _from_markdown(text):
    text = _FENCE.sub(lambda m: '\n' * m.group().count('\n'), text)
    prose = _CODE.sub('`', text)
    links = [(prose.count('\n', 0, m.start()) + 1, m[1]) for m in _LINK.finditer(prose)]
    return links, {_slug(h) for h in re.findall(r'^#+ +(.*)$', text, re.M)}


class Links:
    """What is in the files, each read once."""

    def __init__(self):
        self._files = {}

    def of(self, path):
        if path not in self._files:
            text = path.read_text(errors='replace')
            self._files[path] = _from_markdown(text) if path.suffix == '.md' else _from_html(text)
        return self._files[path]

    def broken(self, path):
        """(line, link) of each that leads nowhere."""
        for line, link in self.of(path)[0]:
            to = urllib.parse.urlsplit(link)
            if to.scheme or to.netloc or to.path.startswith('/'):
                continue
            target = path.parent / urllib.parse.unquote(to.path) if to.path else path
            if not target.exists():
                yield line, link
            elif to.fragment and target.suffix in ('.md', '.html'):
                anchors = self.of(target.resolve())[1] | _NOT_OURS
                if urllib.parse.unquote(to.fragment) not in anchors:
                    yield line, link


def main():
    files = []
    for name in map(pathlib.Path, sys.argv[1:]):
        found = [name] if name.is_file() else sorted(name.rglob('*'))
        # A server shows mkdocs' 404.html for any address, so its links are not relative to it.
        files += [p.resolve() for p in found
                  if p.suffix in ('.md', '.html') and p.name != '404.html']
    links = Links()
    errors = [f'{path}:{line}: {link}: not there' for path in files
              for line, link in links.broken(path)]
    report(errors, len(files))


if __name__ == '__main__':
    main()
