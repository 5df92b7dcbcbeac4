#!/usr/bin/env python3
"""Links and file names lead somewhere: tools/check_links.py <file or folder>...

Looks at the Markdown and HTML files named or below the folders: the target of a relative link has
to be there, and so has the heading or element that a #fragment names. Links to other hosts are not
followed. In Markdown, a source file that is named in backticks has to be there as well: `src/x/y.cpp`,
`x/y.cpp`, `y.cpp`, the folder `src/x`, and the test `api/pool` (tests/api/pool_test.cpp). So have the
cases of a test: `api/pool: case`, `another_case`, or `pool: case`, whose file may be in any folder.
The names of files that are only examples belong in a code block, or have a <placeholder>. The
changelog may name files that are gone.
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
# A source file, or a folder or test of ours, as the whole of a word in backticks.
_SOURCE = re.compile(r'[\w.+-]+(?:/[\w.+-]+)*\.(?:cpp|hpp|py|sh|cmake|in)')
_FOLDER = re.compile(r'(?:src|include|tests|tools|benchmarks|examples|docs|cmake)(?:/[\w.-]+)+/?')
_TEST = re.compile(r'(\w+)/(\w+)(?=:?$)')
# Cases of a test: `folder/unit: case`, `case`, ...
_CASES = re.compile(r'`(?:(\w+)/)?(\w+): (\w+)`((?:, `\w+`)*)')
_CASE = re.compile(r'^(?:TYPED_)?TEST(?:_[FP])?\(\s*\w+,\s*(\w+)\)', re.M)
# Where a name may begin, seen from the root of the repository.
_ROOMS = ('', 'src', 'components/remote/src', 'components/remote/include',
          'components/remote/include/procpool', 'include', 'include/procpool', 'include/procpool/detail', 'tests', 'benchmarks',
          'examples', 'tools', 'docs', 'cmake')


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


class Tree:
    """The source tree around a page; it may be none."""

    def __init__(self, page):
        roots = [p for p in page.resolve().parents if (p / 'src').is_dir()]
        self._root = roots[0] if roots else None
        self._names = self._cases = None

    def _has_name(self, name):
        if self._names is None:
            self._names = {p.name for room in _ROOMS[1:] for p in (self._root / room).rglob('*')}
            self._names |= {p.name for p in self._root.iterdir()}
        return name in self._names

    def has(self, name):
        if '/' not in name:
            return self._has_name(name)
        return any((self._root / room / name).exists() for room in _ROOMS)

    def cases_of(self, folder, unit):
        """The cases of the test; None if there is no such test."""
        if self._cases is None:
            self._cases = {}
            for side in ('tests', 'components/*/tests'):
                for path in self._root.glob(f'{side}/**/*_test.cpp'):
                    dirs = path.relative_to(self._root).parts
                    key = dirs[1], path.name.removesuffix('_test.cpp')
                    self._cases[key] = set(_CASE.findall(path.read_text()))
        found = [cases for (of, name), cases in self._cases.items()
                 if name == unit and folder in (None, of)]
        return set().union(*found) if found else None

    def missing_cases(self, prose):
        for m in _CASES.finditer(prose):
            cases = self.cases_of(m[1], m[2])
            if cases is None:
                continue
            for name in [m[3]] + re.findall(r'\w+', m[4]):
                if name not in cases:
                    yield prose.count('\n', 0, m.start()) + 1, f'{m[2]}: {name}'

    def missing(self, text):
        """(line, name) of each file and test in backticks that is not there."""
        if self._root is None:
            return
        prose = _FENCE.sub(lambda m: '\n' * m.group().count('\n'), text)
        yield from self.missing_cases(prose)
        for span in _CODE.finditer(prose):
            line = prose.count('\n', 0, span.start()) + 1
            for word in span.group().strip('`').split():
                word = word.rstrip(',;:')
                if _SOURCE.fullmatch(word) or _FOLDER.fullmatch(word):
                    if not self.has(word):
                        yield line, word
                elif test := _TEST.fullmatch(word):
                    folders = [f for f in (self._root / 'tests' / test[1],
                                           self._root / 'components' / test[1] / 'tests') if f.is_dir()]
                    if folders and not self.has(word) \
                            and not any((f / f'{test[2]}_test.cpp').exists() for f in folders):
                        yield line, word


class Links:
    """What is in the files, each read once."""

    def __init__(self):
        self._files, self._trees = {}, {}

    def missing(self, path):
        """(line, name) of each source file that the page names and that is not there."""
        if path.suffix == '.md' and path.name != 'CHANGELOG.md':
            tree = self._trees.setdefault(path.parent, Tree(path))
            yield from tree.missing(path.read_text(errors='replace'))

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
              for line, link in [*links.broken(path), *links.missing(path)]]
    report(errors, len(files))


if __name__ == '__main__':
    main()
