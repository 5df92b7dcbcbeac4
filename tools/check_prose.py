#!/usr/bin/env python3
"""Words that leave the reader guessing: tools/check_prose.py [root]

Looks at the text of the manual and of the project's other pages (outside code), at all comments, at
string literals of headers and sources (a literal is a message that users see), and at the names of
test cases.
"""

import re

from source_text import report, root_from_arguments, side_of, sources

_PERSONS = ('user', 'users', 'person', 'people', 'author', 'reader', 'attacker', 'maintainer', 'anyone')
_NOT_AFTER_PERSON = ''.join(rf'(?<!\b{p}\s)' for p in _PERSONS)

# (pattern, what to write instead); a space matches any white space, so a phrase may span lines
SMELLS = [
    (_NOT_AFTER_PERSON + r'\bwho(?:ever|m)?\b',
     'name the process, thread, task or program; "that" for things'),
    (r'\b(?:he|him|his)\b', 'name it'),
    (r'\b(?:no|some|any|every)body(?: else)?(?:\'s)?\b', 'no, some, any or every process, thread, ...'),
    (r'\b(?:some|every)one(?: else)?\b|\bno one\b', 'some, every or no process, thread, ...'),
    (r'\bone\'s\b', 'name it'),
    (r'\b(?:that|which) (?:is|are|was|were) none\b', 'an invalid ..., or say what it lacks'),
    (r'\bhear[sd]?\b', 'receive, be told, notice'),
    (r'\bgo(?:es|ing)? on\b(?! (?:the|a|to)\b)', 'continue'),
    (r'\ball the same\b', 'anyway'),
    (r'\bin vain\b', 'without success'),
    (r'\bbut for\b', 'except for'),
    (r'\b(?:may|can|could|to) be had\b', 'is available, exists'),
    (r'\bthat (?:is|are) there\b', 'that exists'),
    (r'\b(?:any|no|some)thing else than\b', 'other than'),
    (r'\b(?:whence|wherein|whereupon|thereof|therein|thereupon|hitherto|herein|unto|lest|till|nought|albeit'
     r'|oft|amongst|whilst)\b', 'a word of today'),
    (r'\bupon\b', 'on'),
    (r'\bshall\b', 'should, must, or the present tense'),
    (r'(?<!leave\s)(?<!leaves\s)(?<!left\s)\bbehind\b', 'after, past, hidden by'),
    (r'\blet(?:s|ting)? (?:\w+ )?go\b', 'release, drop, destroy'),
    (r'\b(?:is|are|was|were) to be\b', 'must be, will be, should be'),
    (r'\bthere and back\b', 'round trip'),
    (r'\bin the midst\b', 'while, during, half done'),
    (r'\bit is looked\b', 'say what looks at what'),
    (r'\bso (?:many|much|large|big|small|often|few|little|soon|short) as\b', 'as many as, up to'),
    (r'\bthe (?:latter|former)\b(?=[.,;:)]| (?:is|are|has|have|was|were|does|do|can|may)\b)', 'name it'),
    (r'\bnowhere\b', 'in no process, in no list, ...'),
    (r'\bby whatever\b', 'for whatever reason'),
    (r'\bthat one(?=[.,;:)])|\b(?:the one that|those that)\b', 'repeat the noun'),
]
_SMELLS = [(re.compile(p.replace(' ', r'\s+'), re.I), why) for p, why in SMELLS]

_FENCE = re.compile(r'^( *)```.*?^\1```', re.M | re.S)
_LINK_TARGET = re.compile(r'\]\([^)\s]*\)')
_CODE = re.compile(r'`[^`\n]*`|<[^>\n]*>|\b[\w./-]+\.(?:md|[ch]pp|py|sh)\b')  # or the name of a file
_TOKEN = re.compile(r'(?P<comment>//[^\n]*)|(?P<block>/\*.*?\*/)|(?P<raw>R"([^(\s]*)\(.*?\)\4")'
                    r'|(?P<string>"(?:\\.|[^"\\\n])*")|\'(?:\\.|[^\'\\\n])+\'', re.S)
_TEST = re.compile(r'^(?:TYPED_)?TEST(?:_[FP])?\(\s*\w+,\s*(\w+)\)', re.M)


def blank(m):
    """Spaces, or something that is no word where a sentence needs one; lines stay as they are."""
    return re.sub(r'[^\n]', ' ', m.group())


def code_to_word(m):
    return '`' + ' ' * (len(m.group()) - 2) + '`'


def page_text(text):
    text = _LINK_TARGET.sub(blank, _FENCE.sub(blank, text))
    return _CODE.sub(code_to_word, text)


def source_text_of(text, with_literals=True):
    """The comments and literals of a source, everything else blank."""
    out, at = [], 0
    for m in _TOKEN.finditer(text):
        out.append(re.sub(r'[^\n]', ' ', text[at:m.start()]))
        kept = m['comment'] or m['block'] or (with_literals and (m['string'] or m['raw']))
        if kept and re.match(r'\s*#\s*include', text[text.rfind('\n', 0, m.start()) + 1:m.start()]):
            kept = None
        out.append(re.sub(r'^//+|"', lambda q: ' ' * len(q.group()), m.group()) if kept else blank(m))
        at = m.end()
    return _CODE.sub(code_to_word, ''.join(out))


def test_names_of(text):
    """The names of test cases, as words; everything else blank."""
    out, at = [], 0
    for m in _TEST.finditer(text):
        out.append(re.sub(r'[^\n]', ' ', text[at:m.start(1)]))
        out.append(m[1].replace('_', ' ') + ' ;')  # no phrase goes from one name to the next
        at = m.end()
    return ''.join(out)


def smells(text):
    """(line, message) of each."""
    text = re.sub(r'[ \t]*\n[ \t]*', '\n', re.sub(r'[ \t]+', ' ', text))
    for pattern, why in _SMELLS:
        for m in pattern.finditer(text):
            yield text.count('\n', 0, m.start()) + 1, f'"{" ".join(m.group().split())}": {why}'


def pages(root):
    names = [p for p in (root / n for n in ('README.md', 'CONTRIBUTING.md')) if p.exists()]
    return [p.relative_to(root) for p in names + sorted((root / 'docs').rglob('*.md'))]


def main():
    root = root_from_arguments()
    texts = {p: page_text((root / p).read_text()) for p in pages(root)}
    names = {}
    for path in sources(root, 'include', 'src', 'components', 'tests', 'examples', 'demo', 'benchmarks'):
        text = (root / path).read_text()
        texts[path] = source_text_of(text, side_of(path)[0] in ('include', 'src'))
        names[path] = test_names_of(text)
    report([f'{path}:{line}: {what}' for kind in (texts, names) for path, text in kind.items()
            for line, what in sorted(smells(text))], len(texts))


if __name__ == '__main__':
    main()
