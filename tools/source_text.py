"""What the checks share: which files there are, and their text without comments and strings."""

import pathlib
import re
import sys

_TOKEN = re.compile(
    r'//[^\n]*|/\*.*?\*/|R"([^(\s]*)\(.*?\)\1"|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])+\'', re.S)
_INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*([<"])([^>"]+)[>"]', re.M)


def code_only(text):
    """Blanks comments and literals; line numbers stay as they are."""
    return _TOKEN.sub(lambda m: re.sub(r'[^\n]', ' ', m.group()), text)


def includes(text):
    """Yields (line number, True for <...>, name) of each include directive."""
    for m in _INCLUDE.finditer(text):
        yield text.count('\n', 0, m.start()) + 1, m.group(1) == '<', m.group(2)


def sources(root, *folders):
    """All C++ files below the folders, sorted, as paths relative to the root."""
    root = pathlib.Path(root)
    return sorted(p.relative_to(root) for f in folders for p in (root / f).rglob('*')
                  if p.suffix in ('.hpp', '.cpp'))


def side_of(path):
    """'include', 'src' or 'tests', and the rest of the path below it: components/<name>/ has the
    same three folders as the tree."""
    parts = path.parts[2:] if path.parts[0] == 'components' else path.parts
    return parts[0], '/'.join(parts[1:])


def root_from_arguments():
    """The tree to check: the argument, or the one that this script is part of."""
    return pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parent.parent)


def report(errors, checked):
    """Prints what was found, and ends the program with 1 if that is anything."""
    for error in errors:
        print(error)
    print(f'{pathlib.Path(sys.argv[0]).name}: {checked} files, {len(errors)} errors')
    sys.exit(1 if errors else 0)
