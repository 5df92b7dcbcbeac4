#!/usr/bin/env python3
"""Calls point downwards: tools/check_symbols.py [build folder] [root]

Reads with nm what each object of the library defines and what it takes from others, and fails
where a room of src/ uses a symbol of a room that tools/check_layers.py does not put below it.
Includes alone do not show that: a function may be declared in one room and defined in another.
Also fails on a source file of more than 400 lines.
"""

import collections
import pathlib
import re
import subprocess
import sys

from check_layers import BELOW
from source_text import report, side_of, sources

MAX_LINES = 400

# What src/main composes: declared below, defined there. (demangled name, room that may use it)
SEAMS = {
    # What a new process runs, a pool's worker or a single process: launch/worker_context.hpp.
    ('procpool::launch::bound_worker_entry', 'launch'),
}

_LINE = re.compile(r'(.*) ([A-Za-z])(?: [0-9a-f]*)* *$')
STRONG = set('TDBRGSi')


def read_symbols(objects):
    """Two maps: demangled symbol -> the object that defines it, object -> symbols that it takes."""
    defined, taken = {}, collections.defaultdict(set)
    for path in objects:
        lines = subprocess.run(['nm', '--demangle', '--format=posix', path], check=True, text=True,
                               capture_output=True).stdout.splitlines()
        for line in lines:
            # A demangled name has spaces; its type, value and size follow.
            if match := _LINE.match(line):
                name, kind = match.groups()
                if kind == 'U':
                    taken[path].add(name)
                elif kind in STRONG:
                    defined[name] = path
    return defined, taken


def room_cycles(below):
    """Rooms that are, by the table, below themselves."""
    def reaches(start):
        seen, queue = set(), list(below[start])
        while queue:
            room = queue.pop()
            if room not in seen:
                seen.add(room)
                queue += below[room]
        return seen
    return sorted(room for room in below if room in reaches(room))


def main():
    root = pathlib.Path(sys.argv[2] if len(sys.argv) > 2 else pathlib.Path(__file__).parent.parent)
    build = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else root / 'build/dev')
    # The folder of a library's objects, and that of their sources.
    folders = {build / 'CMakeFiles/procpool_objects.dir/src': 'src',
               build / 'components/remote/CMakeFiles/procpool_remote_objects.dir/src':
                   'components/remote/src'}
    sources_of = {o: pathlib.Path(folder) / o.relative_to(base).with_suffix('')
                  for base, folder in folders.items() for o in sorted(base.rglob('*.o'))}
    if not sources_of:
        sys.exit(f'check_symbols.py: no objects below {build}: build the library first')
    # Objects of sources that are gone lie there still.
    objects = [o for o, source in sources_of.items() if (root / source).exists()]

    errors = [f'tools/check_layers.py: {room} is below itself' for room in room_cycles(BELOW)]
    defined, taken = read_symbols(objects)
    for user in objects:
        for symbol in sorted(taken[user]):
            owner = defined.get(symbol)
            if owner is None or owner == user:
                continue
            ours, theirs = (side_of(sources_of[o])[1].split('/')[0] for o in (user, owner))
            if ours == theirs or theirs in BELOW.get(ours, ()) or (symbol, ours) in SEAMS:
                continue
            errors.append(f'{sources_of[user]}: uses {symbol} of {sources_of[owner]}: {ours} is not '
                          f'above {theirs}')
    for path in sources(root, 'include', 'src', 'components'):
        if side_of(path)[0] == 'tests':
            continue
        lines = (root / path).read_text().count('\n')
        if lines > MAX_LINES:
            errors.append(f'{path}: {lines} lines, more than {MAX_LINES}')
    report(errors, len(objects))


if __name__ == '__main__':
    main()
