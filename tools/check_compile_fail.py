#!/usr/bin/env python3
"""Mistakes that must not compile, and what the user reads then:
check_compile_fail.py <file> <compiler> [arguments...]

The file compiles as it is. Each of its blocks

    #if MISTAKE == __LINE__
      // error: what the compiler says
      // never: what it does not say
      the mistake
    #endif

is compiled by itself, has to fail, and the first thing the compiler complains about is one of the
texts after `// error:`. White space does not count, and the lines of the source that a compiler
shows do not, either.

What no mistake needs, such as correct calls of the same functions, stands between `#if !MISTAKE`
and `#endif`, so that the compiler does not see it again with each mistake.
"""

import pathlib
import re
import subprocess
import sys

OPTIONS = ['-fsyntax-only', '-Werror=unused-result']
_BLOCK = re.compile(r'^#if MISTAKE == __LINE__\n(.*?)^#endif', re.M | re.S)
_SHOWN_SOURCE = re.compile(r'^ *\d* \|.*', re.M)


def squeezed(text):
    return ''.join(text.split())


def mistakes(text):
    """(line, texts after error:, texts after never:) of each block."""
    for block in _BLOCK.finditer(text):
        yield (text.count('\n', 0, block.start()) + 1,
               *(re.findall(rf'^\s*// {word}: (.*?)\s*$', block.group(1), re.M)
                 for word in ('error', 'never')))


def compiled(file, command, line):
    done = subprocess.run([*command, *OPTIONS, f'-DMISTAKE={line}', file],
                          capture_output=True, text=True, check=False)
    return done.returncode == 0, _SHOWN_SOURCE.sub('', done.stderr)


def faults(wanted, unwanted, compiles, output):
    """What is wrong with how the compiler took one mistake."""
    if not wanted:
        yield 'no line says what the error is'
    if compiles:
        yield 'compiles'
        return
    said = squeezed(output)
    yield from (f'the compiler never says: {w}' for w in wanted if squeezed(w) not in said)
    yield from (f'the compiler also says: {u}' for u in unwanted if squeezed(u) in said)
    first = re.search(r'error: .*', output)
    if first and not any(squeezed(w) in squeezed(first.group()) for w in wanted):
        yield f'the compiler first says: {first.group()}'


def main():
    file, command = sys.argv[1], sys.argv[2:]
    found = list(mistakes(pathlib.Path(file).read_text()))
    if not found:
        sys.exit(f'{file}: no mistakes')
    compiles, output = compiled(file, command, 0)
    if not compiles:
        sys.exit(f'{file}: does not compile even without its mistakes\n{output}')
    failed = False
    for line, wanted, unwanted in found:
        compiles, output = compiled(file, command, line)
        for fault in faults(wanted, unwanted, compiles, output):
            failed = True
            print(f'{file}:{line}: {fault}', file=sys.stderr)
            print(output, file=sys.stderr)
    print(f'{file}: {len(found)} mistakes')
    sys.exit(1 if failed else 0)


if __name__ == '__main__':
    main()
