"""Loads plug-ins as an interpreter loads extension modules: load.py <start method> <plug-in>..."""

import ctypes
import sys

for path in sys.argv[2:]:
    if ctypes.CDLL(path).run_pool(sys.argv[1].encode(), 1) != 0:
        sys.exit(f'{path} failed')
