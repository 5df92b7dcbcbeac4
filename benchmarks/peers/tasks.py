"""What the tasks of Python's pools do. A module, so that every pool can import it."""

import ctypes
import functools
import os
import time


def next_of(x):
    return x + 1


def give_back(value):
    return value


def length_of(value):
    """Reads all of the value, and finds nothing."""
    return len(value) + value.count(b'y')


@functools.cache
def value_of(size):
    return b'x' * size


@functools.cache
def native_compute():
    function = ctypes.CDLL(os.environ['BENCH_COMPUTE_LIBRARY']).bench_compute
    function.argtypes, function.restype = [ctypes.c_uint64], ctypes.c_uint64
    return function


def compute(rounds):
    return native_compute()(rounds)


_count = 0


def tell_who(_):
    global _count
    _count += 1
    return os.getpid(), _count


def sleep_long(_):
    time.sleep(60)
