#!/usr/bin/env python3
"""Shows plain // comments to Doxygen: our headers are written for people who read headers.

A block of // lines above something becomes ///, one behind a declaration becomes ///<, and the
block at the top of a file describes the file. No line moves, so warnings name the right one.
"""

import pathlib
import re
import sys

_COMMENT = re.compile(r'^(?P<code>(?:[^"/]|/(?!/)|"(?:\\.|[^"\\])*")*)//(?![/!])(?P<text>.*)$')


def literal(text):
    """Plain text stays plain: no tags, links or commands, except inside backticks."""
    parts = text.split('`')
    parts[::2] = [re.sub(r'([\\@#<>&])', r'\\\1', p) for p in parts[::2]]
    return '`'.join(parts)


def main():
    path = pathlib.Path(sys.argv[1])
    described, in_code = False, False
    for line in path.read_text().splitlines():
        m = _COMMENT.match(line)
        if not m:
            in_code = in_code or line.strip() not in ('', '#pragma once')
            print(line)
        elif m['code'].strip():
            in_code = True
            print(f"{m['code']}///<{literal(m['text'])}")
        elif not in_code and not described:
            described = True
            print(f"{m['code']}/// @file {path.name}{literal(m['text'])}")
        else:
            print(f"{m['code']}///{literal(m['text'])}")


main()
