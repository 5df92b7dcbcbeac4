#!/usr/bin/env python3
"""Takes the programs out of Markdown pages: tools/extract_programs.py <folder> <page>...

The n-th C++ block of a page becomes <folder>/<page>_<n>.cpp if it has a main, as it stands. Prints
the files; one that has not changed is not written again.
"""

import pathlib
import re
import sys


def programs(text):
    """(number, code) of each C++ block with a main."""
    blocks = re.findall(r'^```cpp\n(.*?)^```$', text, re.M | re.S)
    return [(n, code) for n, code in enumerate(blocks, 1) if re.search(r'\bint main\(', code)]


def main():
    folder = pathlib.Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for page in map(pathlib.Path, sys.argv[2:]):
        for number, code in programs(page.read_text()):
            file = folder / f'{page.stem}_{number}.cpp'
            if not file.exists() or file.read_text() != code:
                file.write_text(code)
            print(file)


if __name__ == '__main__':
    main()
