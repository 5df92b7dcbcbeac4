#!/usr/bin/env python3
"""What the headers cost a program that includes them: tools/header_cost.py OLD [NEW] [--runs N]

OLD and NEW are include folders; NEW is this tree's own if it is not named. Each program below is
compiled with both, in turn, and the median of the compiler's user CPU seconds is printed for each
folder, with the ratio of the two. Only ratios of one run mean something: seconds depend on what
else the machine does. To compare with an earlier commit:

    git archive COMMIT include | tar -x -C /tmp/old && tools/header_cost.py /tmp/old/include
"""

import argparse
import os
import pathlib
import resource
import statistics
import subprocess
import sys

COMMAND = ['-std=c++20', '-O2', '-c', '-x', 'c++', '-', '-o', '/dev/null']

PROGRAMS = {
    'one submit': '''
        #include <procpool/process_pool_executor.hpp>
        int twice(int x) { return 2 * x; }
        int main() {
          procpool::process_pool_executor pool;
          return pool.submit(twice, 21).get();
        }''',
    'one map': '''
        #include <vector>
        #include <procpool/process_pool_executor.hpp>
        int twice(int x) { return 2 * x; }
        int main() {
          procpool::process_pool_executor pool;
          int sum = 0;
          for (int x : pool.map(twice, std::vector{1, 2, 3})) sum += x;
          return sum;
        }''',
    'mutex.hpp': '#include <procpool/mutex.hpp>',
    'future.hpp': '#include <procpool/future.hpp>',
    'options.hpp': '#include <procpool/options.hpp>',
    'thread_pool_executor.hpp': '#include <procpool/thread_pool_executor.hpp>',
    'procpool.hpp': '#include <procpool/procpool.hpp>',
}


def user_seconds(compiler, folder, program):
    """The user CPU time of one compilation, of the compiler and what it starts."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    subprocess.run([compiler, f'-I{folder}', *COMMAND], input=program, text=True, check=True)
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before


def lines(compiler, folder, program):
    """How many lines are left after preprocessing, empty ones aside."""
    run = subprocess.run([compiler, f'-I{folder}', '-std=c++20', '-E', '-P', '-x', 'c++', '-'],
                         input=program, text=True, check=True, capture_output=True)
    return run.stdout.count('\n')


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('old', type=pathlib.Path)
    own = pathlib.Path(__file__).resolve().parent.parent / 'include'
    parser.add_argument('new', type=pathlib.Path, nargs='?', default=own)
    parser.add_argument('--runs', type=int, default=5, help='compilations of each program')
    parser.add_argument('--only', help='the programs whose name contains this')
    arguments = parser.parse_args()
    for folder in (arguments.old, arguments.new):
        if not (folder / 'procpool').is_dir():
            sys.exit(f'{folder} has no folder procpool: it is not an include folder')
    compiler = os.environ.get('CXX', 'g++')
    print(f'{"":26}{"old s":>8}{"new s":>8}{"ratio":>8}{"old lines":>12}{"new lines":>12}')
    for name, program in PROGRAMS.items():
        if arguments.only and arguments.only not in name:
            continue
        old, new = [], []
        for _ in range(arguments.runs):
            old.append(user_seconds(compiler, arguments.old, program))
            new.append(user_seconds(compiler, arguments.new, program))
        before, after = statistics.median(old), statistics.median(new)
        print(f'{name:26}{before:8.2f}{after:8.2f}{after / before:8.2f}'
              f'{lines(compiler, arguments.old, program):12}'
              f'{lines(compiler, arguments.new, program):12}', flush=True)


if __name__ == '__main__':
    main()
