#!/usr/bin/env python3
"""A program that must not compile, and why: check_compile_fail.py <file> <compiler> [arguments...]

The file compiles as it is. With -DPROCPOOL_COMPILE_FAIL its mistakes are compiled too, and then each
text after `// error:` has to be in what the compiler says.
"""

import pathlib
import re
import subprocess
import sys


def compile_file(file, command, *more):
    done = subprocess.run([*command, '-fsyntax-only', '-w', *more, file],
                          capture_output=True, text=True, check=False)
    return done.returncode, done.stderr


def main():
    file, command = sys.argv[1], sys.argv[2:]
    wanted = re.findall(r'// error: (.*?)\s*$', pathlib.Path(file).read_text(), re.M)
    if not wanted:
        sys.exit(f'{file}: no line says what the error is')
    code, output = compile_file(file, command)
    if code != 0:
        sys.exit(f'{file}: does not compile even without its mistakes\n{output}')
    code, output = compile_file(file, command, '-DPROCPOOL_COMPILE_FAIL')
    if code == 0:
        sys.exit(f'{file}: compiles, mistakes and all')
    said = ' '.join(output.split())
    missing = [w for w in wanted if ' '.join(w.split()) not in said]
    if missing:
        sys.exit('\n'.join([f'{file}: the compiler never says'] + missing + ['but', output]))


if __name__ == '__main__':
    main()
