#!/usr/bin/env python3
"""Links manual and reference: tools/link_manual.py <folder with both> <Doxygen's tag file>

* What the manual names in `backticks` and the reference has becomes a link, and so that a reader
  finds it at once, each page ends with a line of the classes that it names.
* Each class of the reference says which pages of the guide tell of it: tools/reference_pages.py.
  A base class that only the library uses is not named.

Also fails on a header without a group, on one that is not there any more, and on lines of code that
do not fit the column of the manual.
"""

import html
import os
import pathlib
import re
import sys
import xml.etree.ElementTree

from reference_pages import PAGES
from source_text import report

MAX_COLUMNS = 116  # with the font of docs/manual.css and a window of 1,280 pixels

_CODE = re.compile(r'(?<!<pre>)<code>([^<]*)</code>(?!</pre>)')
_LINKED = re.compile(r'(<a\b.*?</a>|<h[1-6]\b.*?</h[1-6]>|<div class="highlight">.*?</div>)', re.S)
_NAME = re.compile(r'(?:procpool::|pp::|pool\.)?((?:this_worker::)?[a-z]\w*)(?:<.*>)?(\(.*\))?')
_BLOCK = re.compile(r'<div class="highlight"><pre>(.*?)</pre></div>', re.S)
_ARTICLE_END = '</article>'


def names_of(tags):
    """name -> (address, whether it is a class) of all that can be named: classes, functions, enums, and
    the members of executors."""
    found = {}
    root = xml.etree.ElementTree.parse(tags).getroot()
    for compound in root.findall('compound'):
        name, file = compound.findtext('name'), compound.findtext('filename')
        kind = compound.get('kind')
        if kind in ('class', 'struct', 'concept') and re.fullmatch(r'procpool::\w+', name):
            found[name.removeprefix('procpool::')] = (file, True)
        elif kind == 'namespace' and name in ('procpool', 'procpool::this_worker'):
            prefix = name.removeprefix('procpool').removeprefix('::')
            for member in compound.findall('member'):
                key = (prefix + '::' if prefix else '') + member.findtext('name')
                found.setdefault(key, (f'{member.findtext("anchorfile")}#{member.findtext("anchor")}',
                                       False))
    for compound in root.findall('compound'):
        if compound.findtext('name') == 'procpool::basic_executor':
            for member in compound.findall('member'):
                found.setdefault(member.findtext('name'), (
                    f'{member.findtext("anchorfile")}#{member.findtext("anchor")}', False))
    return found


def link_page(text, names, up):
    """The page with its links; `up` leads from its folder to the reference."""
    def code(match):
        name = _NAME.fullmatch(html.unescape(match[1]))
        # A call is none of a class: `error()` is some member.
        if name and name[1] in names and not (name[2] and names[name[1]][1]):
            return f'<a href="{up}{names[name[1]][0]}">{match[0]}</a>'
        return match[0]

    begin, end = text.find('<article'), text.rfind(_ARTICLE_END)
    if begin < 0:
        return text
    article = text[begin:end]
    words = set(re.findall(r'\w+', html.unescape(re.sub(r'<[^>]*>', '', ''.join(
        _CODE.findall(article) + _BLOCK.findall(article))))))
    classes = sorted(n for n in words if n in names and names[n][1])
    parts = _LINKED.split(article)
    parts[::2] = [_CODE.sub(code, p) for p in parts[::2]]
    line = ''
    if classes:
        line = '<p class="in-reference">In the reference: ' + ', '.join(
            f'<a href="{up}{names[n][0]}"><code>{n}</code></a>' for n in classes) + '</p>\n'
    return text[:begin] + ''.join(parts) + line + text[end:]


def titles(site):
    """page -> its title, of the pages of the guide."""
    found = {}
    for pages in {page for _, pages in PAGES.values() for page in pages}:
        heading = re.search(r'<h1[^>]*>(.*?)<', (site / f'{pages}.html').read_text(), re.S)
        found[pages] = heading[1].strip()
    return found


def link_class(text, site_titles):
    """The page of a class with its links to the guide."""
    # A base that is not for users.
    text = re.sub(r'<p>Inherits (?:procpool::)?detail::[^<]*</p>', '', text)
    included = re.search(r'#include &lt;.*?procpool/([\w.]+)</a>.*?</code>', text)
    pages = PAGES.get(included[1], (None, []))[1] if included else []
    if not pages:
        return text
    links = ', '.join(f'<a href="../{p}.html">{site_titles[p]}</a>' for p in pages)
    end = included.end()
    return f'{text[:end]}<p class="in-guide">In the guide: {links}</p>{text[end:]}'


def wide_lines(text):
    for block in _BLOCK.findall(text):
        for line in html.unescape(re.sub(r'<[^>]*>', '', block)).splitlines():
            if len(line) > MAX_COLUMNS:
                yield line


def main():
    site, tags = map(pathlib.Path, sys.argv[1:])
    root = pathlib.Path(__file__).parent.parent
    folders = [root / 'include/procpool', *root.glob('components/*/include/procpool')]
    headers = {p.name for folder in folders for p in folder.glob('*.hpp')}
    errors = [f'tools/reference_pages.py: {h}: not there' for h in sorted(set(PAGES) - headers)]
    errors += [f'include/procpool/{h}: in no group of tools/reference_pages.py'
               for h in sorted(headers - set(PAGES) - {'procpool.hpp', 'export.hpp', 'version.hpp'})]
    names, guide = names_of(tags), titles(site)
    count = 0
    for page in sorted(site.rglob('*.html')):
        text = page.read_text()
        if page.is_relative_to(site / 'reference'):
            if re.match(r'(?:class|struct|concept)procpool', page.name) and '-members' not in page.name:
                page.write_text(link_class(text, guide))
        elif page.name != '404.html':
            errors += [f'{page.relative_to(site)}: more than {MAX_COLUMNS} columns: {line.strip()}'
                       for line in wide_lines(text)]
            up = os.path.relpath(site / 'reference', page.parent) + '/'
            page.write_text(link_page(text, names, up))
        count += 1
    report(errors, count)


if __name__ == '__main__':
    main()
