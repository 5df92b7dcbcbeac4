#!/usr/bin/env python3
"""Calls and types that are wrong here, each with its reason: tools/check_banned.py [root]"""

import re

from source_text import code_only, includes, report, root_from_arguments, side_of, sources

# (pattern, files it is banned in, files where it is right after all, why)
BANNED = [
    (r'\bstd::(counting_semaphore|binary_semaphore|latch|barrier)\b', r'(src|include)/', None,
     "the standard library's form works within one process only"),
    (r'\b(std::)?atomic(_flag)?_(wait|notify)\w*\s*\(', r'(src|include)/', None,
     'std::atomic waits within one process only: os/futex.hpp'),
    (r'\bFUTEX_\w*PRIVATE\w*', r'', None, 'a private futex does not reach other processes'),
    (r'(?<![\w.>])(::\s*)?kill\s*\(\s*[^\s)]', r'src/', r'src/(os|launch)/',
     'a pid may be reused: launch signals by pidfd'),
    (r'(?<![\w.>])(std\s*::\s*|::\s*)?(quick_)?exit\s*\(', r'src/(worker|launch)/', None,
     "a child ends by _exit only: atexit handlers and buffers are the parent's"),
    (r'\b(sleep_for|sleep_until|usleep|nanosleep)\b|(?<![\w.])sleep\s*\(', r'tests/.*_test\.cpp',
     None, 'a test waits for something, with a bound: tests/support'),
]
BANNED_HEADERS = {'semaphore', 'latch', 'barrier'}

_ATOMIC_NAME = re.compile(r'\batomic(?:<[^;{}()]*?>|_flag|_ref<[^;{}()]*?>)[&\s]+(\w+)')
_STRUCT = re.compile(r'\b(?:struct|class|union)\s+(?:alignas\([^)]*\)+\s*)?(\w+)\s*(?:final\s*)?\{')
_SIZED = re.compile(r'\b(?:sizeof|offsetof|is_trivially_copyable_v<|is_standard_layout_v<)\(?(\w+)')
_PROCESS_PRIVATE = re.compile(
    r'[*&]|\bstd::(string|vector|function|unique_ptr|shared_ptr|weak_ptr|map|set|unordered_\w+|deque|'
    r'list|string_view|span|filesystem|mutex|condition_variable|thread)\b')
_PROCESS_ID = re.compile(r'\b(?:\w*_)?[pt]ids?(?:_\w*)?\b')
# Headers that hold nothing but what lies in shared memory.
_ALL_SHARED = re.compile(r'src/shm/(layout|process_page)\.hpp')


def line_of(text, offset):
    return text.count('\n', 0, offset) + 1


def banned_calls(path, code):
    for pattern, where, allowed, why in BANNED:
        if re.match(where, path) and not (allowed and re.match(allowed, path)):
            for m in re.finditer(pattern, code):
                yield line_of(code, m.start()), f'{m.group().strip()}: {why}'


def atomic_waits(code, atomics):
    """x.wait(...) and x.notify_one() where x is declared somewhere as an atomic."""
    for m in re.finditer(r'\b(\w+)\s*(?:\.|->)\s*(wait|notify_one|notify_all)\s*\(', code):
        if m.group(1) in atomics:
            yield line_of(code, m.start()), (
                f'{m.group(1)}.{m.group(2)}: std::atomic waits within one process only')


def members(code, start):
    """(offset, text) of each declaration at the outermost level of the body that starts here."""
    depth, begin = 1, start
    for i in range(start, len(code)):
        if code[i] == '{':
            depth += 1
        elif code[i] == '}':
            depth -= 1
            if depth == 0:
                return
            if depth == 1 and not code[i + 1:].lstrip().startswith(';'):
                begin = i + 1  # behind a function, not an initialiser
        elif code[i] == ';' and depth == 1:
            text = code[begin:i]
            yield begin + len(text) - len(text.lstrip()), text
            begin = i + 1


def layout_members(path, code):
    """Pointers, owning types and pids in what lies in shared memory: structs whose size is
    asserted, and all structs of some headers."""
    if not re.match(r'src/(shm|sync)/.*\.hpp', path):
        return
    asserted = {m for s in re.findall(r'static_assert\((.*?);', code, re.S)
                for m in _SIZED.findall(s)}
    for m in _STRUCT.finditer(code):
        if m.group(1) not in asserted and not _ALL_SHARED.match(path):
            continue
        for offset, text in members(code, m.end()):
            text = re.sub(r'alignas\s*\([^)]*\)', '', text)
            text = re.split('[={]', text)[0]
            if '(' in text or re.match(r'\s*(using|static|friend|typedef|struct|enum)\b', text):
                continue
            if _PROCESS_PRIVATE.search(text):
                yield line_of(code, offset), (
                    f'{m.group(1)}: {" ".join(text.split())}: means nothing in another process')
            if _PROCESS_ID.search(text):
                yield line_of(code, offset), (
                    f'{m.group(1)}: {" ".join(text.split())}: any worker could write a pid there, '
                    'and it may be reused: the fork server says who is who')


def main():
    root = root_from_arguments()
    files = sources(root, 'include', 'src', 'tests', 'components')
    texts = {p: (root / p).read_text() for p in files}
    codes = {p: code_only(t) for p, t in texts.items()}
    shared = {p for p in files if side_of(p)[0] != 'tests'}
    atomics = {name for p in shared for name in _ATOMIC_NAME.findall(codes[p])}
    errors = []
    for path in files:
        place = '/'.join(side_of(path))  # as if a component's folders were the tree's
        found = list(banned_calls(place, codes[path]))
        if path in shared:
            found += atomic_waits(codes[path], atomics)
            found += layout_members(place, codes[path])
            found += [(line, f'<{name}>: works within one process only')
                      for line, _, name in includes(texts[path]) if name in BANNED_HEADERS]
        errors += [f'{path}:{line}: {what}' for line, what in sorted(found)]
    report(errors, len(files))


if __name__ == '__main__':
    main()
