#!/usr/bin/env python3
"""Python's pools as contenders: peers.py KIND WORKERS

Reads a work, a count and a size from each line of standard input, does it, and answers with the
seconds that it took, and for round trips with the time of each. A work that is not for this pool
is answered with -1. KIND: executor, pool, joblib.
"""

import concurrent.futures
import multiprocessing
import os
import sys
import time
from collections import deque

WINDOW = 1024
CHUNK = 1000


def next_of(x):
    return x + 1


def give_back(value):
    return value


class Executor:
    def __init__(self, workers):
        self.pool = concurrent.futures.ProcessPoolExecutor(workers)

    def round_trip(self, x):
        return self.pool.submit(next_of, x).result()

    def in_flight(self, n):
        waiting = deque()
        for i in range(n):
            if len(waiting) == WINDOW:
                waiting.popleft().result()
            waiting.append(self.pool.submit(next_of, i))
        for f in waiting:
            f.result()

    def small_items(self, n):
        return sum(self.pool.map(next_of, range(n), chunksize=CHUNK))

    def as_completed(self, n):
        futures = [self.pool.submit(next_of, i) for i in range(n)]
        return sum(f.result() for f in concurrent.futures.as_completed(futures))

    def payload(self, value):
        return self.pool.submit(give_back, value).result()


class Pool:
    def __init__(self, workers):
        self.pool = multiprocessing.Pool(workers)

    def round_trip(self, x):
        return self.pool.apply(next_of, (x,))

    def in_flight(self, n):
        for _ in self.pool.imap(next_of, range(n)):
            pass

    def small_items(self, n):
        return sum(self.pool.imap(next_of, range(n), chunksize=CHUNK))

    def payload(self, value):
        return self.pool.apply(give_back, (value,))


class Joblib:
    def __init__(self, workers):
        from joblib import Parallel, delayed
        self.parallel = Parallel(n_jobs=workers, batch_size=CHUNK)
        self.delayed = delayed

    def small_items(self, n):
        return sum(self.parallel(self.delayed(next_of)(i) for i in range(n)))


def answer(peer, work, n, size):
    """Seconds, and the times of each."""
    if work == 'hello':
        return 0.0, []
    begin = time.perf_counter()
    if work == 'round_trips' and hasattr(peer, 'round_trip'):
        each = []
        for i in range(n):
            one = time.perf_counter()
            assert peer.round_trip(i) == i + 1
            each.append(time.perf_counter() - one)
        return time.perf_counter() - begin, each
    if work == 'payloads' and hasattr(peer, 'payload'):
        value = b'x' * size
        assert len(peer.payload(value)) == size
        begin = time.perf_counter()
        for _ in range(n):
            assert len(peer.payload(value)) == size
    elif work in ('in_flight', 'small_items', 'as_completed') and hasattr(peer, work):
        getattr(peer, work)(n)
    else:
        return -1.0, []
    return time.perf_counter() - begin, []


def main():
    kind, workers = sys.argv[1], int(sys.argv[2])
    peer = {'executor': Executor, 'pool': Pool, 'joblib': Joblib}[kind](workers)
    out = os.fdopen(os.dup(1), 'w')
    if hasattr(peer, 'in_flight'):
        peer.in_flight(200)  # its processes are there
    elif hasattr(peer, 'small_items'):
        peer.small_items(2000)
    for line in sys.stdin:
        work, n, size = line.split()
        took, each = answer(peer, work, int(n), int(size))
        out.write(' '.join([repr(took)] + [repr(e) for e in each]) + '\n')
        out.flush()


if __name__ == '__main__':
    main()
