#!/usr/bin/env python3
"""Shows plain // comments to Doxygen: our headers are written for people who read headers.

* A block of // lines above something becomes ///, one at the end of a line ///<.
* The block at the top of a file describes the class that it begins with ("future<T>: the result of"),
  otherwise the file. A function that it begins with ("partial(f): f with") gets the first paragraph.
* A block with nothing below it in a class belongs to the class.
* Overloads that follow without a comment of their own get that of the first.
* Friends, what is deleted or defaulted without a comment, what is "For the library", and overloads with
  parameters of procpool::detail are left out.
* All that a header has belongs to its group: tools/reference_pages.py.

No line moves, so warnings name the right one.
"""

import pathlib
import re
import sys

from reference_pages import PAGES

_COMMENT = re.compile(r'^(?P<code>(?:[^"/]|/(?!/)|"(?:\\.|[^"\\])*")*)//(?![/!])(?P<text>.*)$')
_SUBJECT = re.compile(r'^ (?:procpool::)?(\w+)(?:<[^>]*>|\([^)]*\))?(?: and [\w:<>]+)?: ')
_CLASS = re.compile(r'^(?:class|struct) (?:\[\[\w+\]\] |PROCPOOL_EXPORT )*(\w+)\b[^;]*$')
_INTERNAL = re.compile(r'^\([^)]*\bdetail::')
_MOVE = re.compile(r'\b(\w+)\((?:const )?\1 ?&')
_CALLS = {'requires', 'decltype', 'noexcept', 'explicit', 'alignas', 'sizeof', 'deprecated', 'nodiscard'}


def literal(text):
    """Plain text stays plain: no tags, links or commands, except inside backticks."""
    parts = text.split('`')
    parts[::2] = [re.sub(r'([\\@#<>&])', r'\\\1', p) for p in parts[::2]]
    return '`'.join(parts)


def capital(text):
    """As a sentence begins, unless it begins with the name of a variable."""
    word = text.split(' ')[0]
    return text if word != 'a' and len(word) == 1 or '_' in word else text[:1].upper() + text[1:]


def bare(line):
    """The line without strings and comments."""
    return re.sub(r'//.*$', '', re.sub(r'"(?:\\.|[^"\\])*"|\'(?:\\.|[^\'\\])\'', '""', line))


def declaration_end(lines, start):
    """The index of the line at which the declaration that begins here ends."""
    depth = 0
    for i in range(start, len(lines)):
        code = bare(lines[i])
        depth += sum(code.count(c) for c in '({[') - sum(code.count(c) for c in ')}]')
        if depth < 0:
            return i
        if depth == 0 and code.rstrip().endswith((';', '}')):
            return i
    return len(lines) - 1


def function_name(text):
    """The name of the function that this declares, or None."""
    text = re.sub(r'\[\[.*?\]\]', '', ' '.join(bare(line) for line in text))
    while (inner := re.sub(r'<[^<>()]*>', '', text)) != text:
        text = inner
    for match in re.finditer(r'(~?\w+|operator\S+) *\(', text):
        if match[1] not in _CALLS:
            return match[1]
    return None


class Filter:
    """One header."""

    def __init__(self, path):
        self._lines = path.read_text().splitlines()
        self._out = []
        self._name = path.name
        self._class = None      # that this line is in
        self._function = None   # (name, comment): what the file begins with
        self._documented = None  # (function, its comment as one line) of the declaration above
        self._group = PAGES.get(path.name, (None,))[0]

    def _comment_at(self, i):
        """The end of the block of comment lines that begins here, or i."""
        while i < len(self._lines) and (m := _COMMENT.match(self._lines[i])) and not m['code'].strip():
            i += 1
        return i

    def _text(self, i):
        return literal(_COMMENT.match(self._lines[i])['text'])

    def _texts(self, first, end):
        """The text of these comment lines. What is set off by a blank line and two more spaces is code;
        the blank lines around it become its commands."""
        raw = [_COMMENT.match(self._lines[i])['text'] for i in range(first, end)]
        out, in_code = [], False
        for n, text in enumerate(raw):
            is_code = text.startswith('   ') and (in_code or out and out[-1] == ' @code{.cpp}')
            if not text.strip() and n + 1 < len(raw) and raw[n + 1].startswith('   '):
                out.append('' if in_code else ' @code{.cpp}')
                continue
            if in_code and not is_code:
                out.append(' @endcode' if not text.strip() else ' @endcode' + literal(text))
            else:
                out.append(text if is_code else literal(text))
            in_code = is_code
        if in_code:
            out[-1] += ' @endcode'
        return out

    def _block_of_class(self, name, texts, before=''):
        """Text that belongs to the class, wherever it stands; one line more than there was."""
        return [f'{before}/** @class procpool::{name}',
                *(t.replace('*/', '* /') for t in texts[:-1]), texts[-1].replace('*/', '* /') + ' */']

    def _opening(self, first, end):
        """The lines that stand for the opening comment; the index of the next line."""
        texts = self._texts(first, end)
        subject = _SUBJECT.match(_COMMENT.match(self._lines[first])['text'])
        declares = subject and any(
            (m := _CLASS.match(line)) and m[1] == subject[1] for line in self._lines)
        if not declares or self._lines[end:end + 1] != ['#pragma once']:
            if subject and not declares:
                first_part = ' '.join(t.strip() for t in texts).split(' @code')[0].split('  ')[0]
                first_part = first_part[first_part.index(': ') + 2:]
                self._function = (subject[1], f'{capital(first_part)} See {self._name}.')
            self._out.append(f'/// @file {self._name}{texts[0]}')
            self._out += [f'///{t}' for t in texts[1:]]
            return end
        text = _COMMENT.match(self._lines[first])['text'][subject.end():]
        texts[0] = ' ' + literal(capital(text))
        self._out += self._block_of_class(subject[1], texts, f'/** @file {self._name} */ ')
        return end + 1  # for the line more

    def _hide(self, end, i):
        """Leaves the declaration from line i to line `end` out."""
        self._out.append('/** @cond */ ' + self._lines[i])
        self._out += self._lines[i + 1:end + 1]
        self._out[-1] = re.sub(r' *//.*$', '', self._out[-1]) + ' /** @endcond */'

    def run(self):
        lines, i, begun = self._lines, 0, False
        while i < len(lines):
            line = lines[i]
            end = self._comment_at(i)
            if end > i:
                if not begun:
                    begun = True
                    i = self._opening(i, end)
                    continue
                below = lines[end] if end < len(lines) else ''
                if self._class and not below.strip():
                    self._out += self._block_of_class(self._class, self._texts(i, end))
                    self._documented, i = None, end + 1  # for the line more
                    continue
                comment = [f'///{text}' for text in self._texts(i, end)]
                indent = re.match(' *', line)[0]
                last = declaration_end(lines, end) if end < len(lines) else end
                if self._text(i).startswith(' For the library') and self._class:
                    self._out += [indent + '//' + c[3:] for c in comment]
                    self._hide(last, end)
                    self._documented, i = None, last + 1
                    continue
                self._out += [indent + c for c in comment]
                words = ' '.join(c[3:].strip() for c in comment)
                words = None if '@code' in words else words
                name = function_name(lines[end:last + 1]) if end < len(lines) else None
                self._documented = (name, words.replace('*/', '* /')) if name and words else None
                i = end
                i = self._declaration(i, last) if name and self._class else i
                continue
            if m := _CLASS.match(line):
                self._class = m[1]
            elif line.startswith('};'):
                self._class = None
            if not line.strip():
                self._documented = None
            elif self._function and not self._class and re.match(r'template|inline|auto|\[\[', line) and \
                    function_name(lines[i:declaration_end(lines, i) + 1]) == self._function[0]:
                self._out.append(f'/** {self._function[1]} */ {line}')
                self._function = None
                i += 1
                continue
            elif self._class and line.startswith('  ') and not line.startswith('   ') and \
                    re.match(r'  [\w~\[]', line) and not re.match(r'  (?:public|private|using)\b', line):
                last = declaration_end(lines, i)
                text = lines[i:last + 1]
                if line.startswith('  friend ') or re.search(r'= (?:delete|default);', bare(text[-1])):
                    self._hide(last, i)
                    i = last + 1
                    continue
                name = function_name(text)
                if self._documented and name == self._documented[0] and _INTERNAL.search(
                        bare(text[0]).split(name, 1)[-1] if name in text[0] else ''):
                    self._hide(last, i)
                    i = last + 1
                    continue
                if self._documented and name == self._documented[0] and not _MOVE.search(text[0]):
                    self._out.append(f'  /** {self._documented[1]} */ {line.lstrip()}')
                    i = self._declaration(i + 1, last)
                    continue
            i = self._plain(i)
            if line.strip() not in ('', '#pragma once'):
                begun = True
            if self._group and line == 'namespace procpool {':
                self._out[-1] += f' /** @addtogroup {self._group} */ /** @{{ */'
            if self._group and line == '}  // namespace procpool':
                self._out[-1] = '/** @} */ ' + line

        return '\n'.join(self._out) + '\n'

    def _plain(self, i):
        m = _COMMENT.match(self._lines[i])
        own = m and m['code'].strip() and not m['code'].startswith('}')
        self._out.append(f"{m['code']}///<{literal(m['text'])}" if own else self._lines[i])
        return i + 1

    def _declaration(self, i, last):
        """The lines up to the end of a declaration, as they are."""
        while i <= last:
            i = self._plain(i)
        return i


if __name__ == '__main__':
    sys.stdout.write(Filter(pathlib.Path(sys.argv[1])).run())
