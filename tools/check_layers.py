#!/usr/bin/env python3
"""Includes point downwards: tools/check_layers.py [root]

Fails on an include that points up or sideways in the layers, on a public header that includes
something of src/, on a header of detail/ that includes a facade, on a system header outside src/os,
and on headers that include each other.
"""

import re

from source_text import includes, report, root_from_arguments, side_of, sources

# What each room of src/ may include, itself aside; tools/check_symbols.py holds the same table
# against the calls in the objects. wire is bytes only, so that it can be fuzzed alone. launch knows
# neither side: it is handed the worker's entry function.
FOUNDATION = {'base', 'os', 'runtime', 'wire', 'shm'}
BELOW = {
    'base': set(),
    'os': {'base'},
    'runtime': {'base', 'os'},
    'wire': {'base'},
    'shm': {'base', 'os', 'runtime', 'wire'},
    'objects': FOUNDATION,
    'sync': FOUNDATION | {'objects'},
    'launch': FOUNDATION,
    'futures': FOUNDATION,
    'threads': FOUNDATION | {'futures', 'objects'},
    'pool': FOUNDATION | {'objects', 'launch', 'futures'},
    'worker': FOUNDATION | {'objects', 'sync', 'launch'},
    'child': FOUNDATION | {'objects', 'launch', 'futures'},
    'manager': FOUNDATION | {'objects', 'launch', 'child'},
    'remote': FOUNDATION,  # components/remote/src
    'main': FOUNDATION | {'objects', 'sync', 'launch', 'futures', 'threads', 'pool', 'worker',
                          'child', 'manager'},
}

# The public headers that detail/ may include: the types that facades and their parts both speak of.
# All others are facades, made of what is in detail/.
VOCABULARY = {'cancel', 'errors', 'export', 'options', 'outcome', 'stats', 'time'}

# C headers that anyone may use: no system call is in them.
HARMLESS = {
    'cxxabi.h',     # names of types and exceptions: the C++ runtime's own interface
    'x86intrin.h',  # instructions
    'immintrin.h',  # instructions
    'sys/types.h',  # pid_t, which the public headers show
}

# Public headers that exist to meet another library may include it.
ADAPTERS = {'asio.hpp': r'(boost/)?asio[./]', 'cereal.hpp': r'cereal/'}

# And the files of a component that do, or that are its os room: procpool::remote.
ADAPTER_FILES = (('remote', 'openssl_', r'openssl/'),
                 ('remote', 'net_socket.', r'(netdb|unistd|netinet/\w+|sys/\w+)\.h$'))

# Headers that include a part of a standard header, by the name that libstdc++ has for it.
PARTS = ('include', 'procpool', 'detail', 'std')


def layer_of(path):
    """'public' or the folder of src/, the tree's or a component's."""
    side, rest = side_of(path)
    return 'public' if side == 'include' else rest.split('/')[0]


def check_include(path, angled, name):
    """Why the file at this path may not include this, or None."""
    layer = layer_of(path)
    if name.startswith('procpool/'):
        facade = re.fullmatch(r'procpool/(\w+)\.hpp', name)
        if path.parts[:3] == ('include', 'procpool', 'detail') and facade \
                and facade[1] not in VOCABULARY:
            return 'detail/ includes a facade'
        return None
    target = name.split('/')[0]
    if target in BELOW and '/' in name and not angled:
        if layer == 'public':
            return 'a public header includes src/'
        if target != layer and target not in BELOW[layer]:
            return f'{layer} may not include {target}'
        return None
    if not angled:
        return 'written from neither src/ nor include/'
    if layer == 'os' or name in HARMLESS:
        return None
    if layer == 'public' and re.match(ADAPTERS.get(path.name, '$.'), name):
        return None
    if path.parts[:4] == PARTS and name.startswith('bits/'):
        return None
    for room, prefix, adapted in ADAPTER_FILES:
        if layer == room and path.name.startswith(prefix) and re.match(adapted, name):
            return None
    if name.endswith('.h') or '/' in name:
        return 'only src/os includes system headers'
    return None


def cycles(graph):
    """Each cycle of includes once, as a list of files."""
    found, state = [], {}

    def visit(node, trail):
        state[node] = 'open'
        for below in graph.get(node, ()):
            if state.get(below) == 'open':
                found.append(trail[trail.index(below):] + [below])
            elif below not in state:
                visit(below, trail + [below])
        state[node] = 'done'

    for node in sorted(graph):
        if node not in state:
            visit(node, [node])
    return found


def main():
    root = root_from_arguments()
    files = [p for p in sources(root, 'include', 'src', 'components') if side_of(p)[0] != 'tests']
    errors, graph = [], {}
    for path in files:
        key = side_of(path)[1]
        for line, angled, name in includes((root / path).read_text()):
            graph.setdefault(key, []).append(name)
            if layer_of(path) != 'public' and layer_of(path) not in BELOW:
                errors.append(f'{path}: not in a layer that tools/check_layers.py knows')
                break
            if why := check_include(path, angled, name):
                errors.append(f'{path}:{line}: {name}: {why}')
    errors += ['includes go round: ' + ' -> '.join(c) for c in cycles(graph)]
    report(errors, len(files))


if __name__ == '__main__':
    main()
