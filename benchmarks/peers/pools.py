#!/usr/bin/env python3
"""Python's pools as contenders: pools.py KIND WORKERS

Reads a work, a count and a size from each line of standard input, does it, and answers with the
seconds that it took, and then with whatever else belongs to that work, as the time of each round
trip. A work that is not for this pool is answered with -1. BENCH_COMPUTE_LIBRARY names the library
with compute(). KIND: executor, pool, loky, mpi (under mpiexec, by `-m mpi4py.futures`).
"""

import concurrent.futures
import contextlib
import multiprocessing
import os
import signal
import sys
import time
from collections import deque

from tasks import (compute, give_back, length_of, next_of, sleep_long, tell_who, value_of)

WINDOW = 1024
CHUNK = 1000


def memory():
    """Proportional, of this process."""
    with open('/proc/self/smaps_rollup', encoding='ascii') as f:
        return next(int(line.split()[1]) for line in f if line.startswith('Pss:')) * 1024


class Executor:
    """Any that is like concurrent.futures."""

    stuck = False  # in a task that does not end

    def __init__(self, workers, method=None):
        self.pool = self.create(workers, method)

    def create(self, workers, method):
        context = multiprocessing.get_context(method) if method else None
        return concurrent.futures.ProcessPoolExecutor(workers, mp_context=context)

    def close(self):
        self.pool.shutdown()

    def call(self, function, value):
        return self.pool.submit(function, value).result()

    def in_flight(self, n):
        waiting, total = deque(), 0
        for i in range(n):
            if len(waiting) == WINDOW:
                total += waiting.popleft().result()
            waiting.append(self.pool.submit(next_of, i))
        return total + sum(f.result() for f in waiting)

    def small_items(self, n):
        return sum(self.pool.map(next_of, range(n), chunksize=CHUNK))

    def as_completed(self, n):
        futures = [self.pool.submit(next_of, i) for i in range(n)]
        return sum(f.result() for f in concurrent.futures.as_completed(futures))

    def all_of(self, function, values):
        return [f.result() for f in [self.pool.submit(function, v) for v in values]]

    def memory_of_each(self, n, pending):
        if pending:
            self.stuck = True
            self.pool.submit(sleep_long, 0)
        before = memory()
        futures = [self.pool.submit(next_of, i) for i in range(n)]
        if not pending:
            concurrent.futures.wait(futures)
        return (memory() - before) / n

    def recover(self, method):
        self.call(next_of, 1)
        worker, _ = self.call(tell_who, 0)
        lost = self.pool.submit(sleep_long, 0)
        while not lost.running():
            time.sleep(0.001)
        begin = time.perf_counter()
        os.kill(worker, signal.SIGKILL)
        try:
            lost.result()
        except concurrent.futures.process.BrokenProcessPool:
            pass  # as it does: a new one is all that helps
        self.pool = self.create(1, method)
        check(self.call(next_of, 1) == 2)
        return time.perf_counter() - begin


class Pool:
    def __init__(self, workers, method=None):
        self.pool = multiprocessing.get_context(method).Pool(workers)

    def close(self, lost=False):
        # It waits for lost tasks for ever.
        (self.pool.terminate if lost else self.pool.close)()
        self.pool.join()

    def call(self, function, value):
        return self.pool.apply(function, (value,))

    def in_flight(self, n):
        return sum(self.pool.imap(next_of, range(n)))

    def small_items(self, n):
        return sum(self.pool.imap(next_of, range(n), chunksize=CHUNK))

    def as_completed(self, n):
        return sum(self.pool.imap_unordered(next_of, range(n)))

    def all_of(self, function, values):
        return list(self.pool.imap(function, values))

    def recover(self, method):
        worker, _ = self.call(tell_who, 0)
        # In a task: one that is killed while it waits takes the queue's lock with it.
        self.pool.apply_async(sleep_long, (0,))
        time.sleep(0.1)
        begin = time.perf_counter()
        os.kill(worker, signal.SIGKILL)
        check(self.call(next_of, 1) == 2)  # by another worker, once this one is missed
        return time.perf_counter() - begin


class Loky(Executor):
    def create(self, workers, method):
        from joblib.externals import loky
        if method not in (None, 'spawn'):
            raise NotImplementedError('loky has a start method of its own')
        from joblib import Parallel, delayed
        self.parallel = Parallel(n_jobs=workers, batch_size=CHUNK)
        self.delayed = delayed
        return loky.ProcessPoolExecutor(workers)

    def small_items(self, n):
        return sum(self.parallel(self.delayed(next_of)(i) for i in range(n)))


class Mpi(Executor):
    def create(self, workers, method):
        from mpi4py.futures import MPIPoolExecutor
        return MPIPoolExecutor(workers)


KINDS = {'executor': Executor, 'pool': Pool, 'loky': Loky, 'mpi': Mpi}


def timed(function):
    begin = time.perf_counter()
    function()
    return time.perf_counter() - begin


def timed_each(function, n):
    """In all, and the time of each."""
    begin = time.perf_counter()
    each = [timed(function) for _ in range(n)]
    return [time.perf_counter() - begin, *each]


def check(right):
    if not right:
        sys.exit('a wrong result')


class Works:
    """Each answers with numbers, the figure first."""

    def __init__(self, kind, workers):
        self.kind, self.workers = kind, workers
        self._peer = None

    @property
    def peer(self):
        if self._peer is None:
            self._peer = self.kind(self.workers)
        return self._peer

    def warm_up(self, _n, _size):
        self.peer.in_flight(200)
        self.peer.small_items(4000)
        return [0]

    def who_runs(self, n, _size):
        return [0, *(number for pair in self.peer.all_of(tell_who, range(n)) for number in pair)]

    def round_trips(self, n, _size):
        return timed_each(lambda: check(self.peer.call(next_of, 1) == 2), n)

    def _sum(self, work, n):
        return [timed(lambda: check(work(n) == n * (n + 1) // 2))]

    def in_flight(self, n, _size):
        return self._sum(self.peer.in_flight, n)

    def small_items(self, n, _size):
        return self._sum(self.peer.small_items, n)

    def as_completed(self, n, _size):
        return self._sum(self.peer.as_completed, n)

    def tasks_of(self, n, rounds):
        right = compute(rounds)
        return [timed(lambda: check(set(self.peer.all_of(compute, [rounds] * n)) == {right}))]

    def there_and_back(self, n, size):
        value = b'x' * size
        return timed_each(lambda: check(len(self.peer.call(give_back, value)) == size), n)

    def argument(self, n, size):
        value = b'x' * size
        return timed_each(lambda: check(self.peer.call(length_of, value) == size), n)

    def result(self, n, size):
        return timed_each(lambda: check(len(self.peer.call(value_of, size)) == size), n)

    def memory_pending(self, n, _size):
        return [self.peer.memory_of_each(n, pending=True)]

    def memory_unread(self, n, _size):
        return [self.peer.memory_of_each(n, pending=False)]

    def live(self, method):
        begin = time.perf_counter()
        peer = self.kind(2, method)
        check(peer.call(next_of, 1) == 2)
        started = time.perf_counter()
        peer.close()
        return [started - begin, time.perf_counter() - started]

    def recover(self, method):
        peer = self.kind(1, method)
        took = peer.recover(method)
        if isinstance(peer, Pool):
            peer.close(lost=True)
        else:
            peer.close()
        return [took]


def leave():
    """Ends the children, too: some may be asleep, and some outlive their parent."""
    pids = []
    for task in os.listdir('/proc/self/task'):
        with contextlib.suppress(OSError):  # a thread that ends just now
            with open(f'/proc/self/task/{task}/children', encoding='ascii') as f:
                pids += map(int, f.read().split())
    sys.setswitchinterval(60)  # no other thread gets to start a worker in the place of these
    for pid in pids:
        with contextlib.suppress(OSError):
            os.kill(pid, signal.SIGKILL)
    os._exit(0)


def main():
    works = Works(KINDS[sys.argv[1]], int(sys.argv[2]))
    out = os.fdopen(os.dup(1), 'w')
    for line in sys.stdin:
        work, n, size = line.split()
        try:
            name, _, method = work.partition('_')
            if name in ('live', 'recover'):
                numbers = getattr(works, name)(method)
            else:
                numbers = getattr(works, work)(int(n), int(size))
        except (AttributeError, NotImplementedError, ImportError):
            numbers = [-1]  # not for this pool
        out.write(' '.join(map(repr, numbers)) + '\n')
        out.flush()
    if sys.argv[1] == 'mpi' and not works.peer.stuck:
        works.peer.close()  # quicker than what mpiexec does where somebody just leaves
        return
    leave()


if __name__ == '__main__':
    main()
