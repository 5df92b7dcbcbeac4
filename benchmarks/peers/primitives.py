#!/usr/bin/env python3
"""multiprocessing's primitives as contenders: primitives.py KIND

Reads a work, the number of processes, a count and a size from each line of standard input, lets so
many forked processes do the work, and answers with the seconds from when all of them were there
until the last one was done, and then with whatever else belongs to that work, as the time of each
round trip. A work that is not for this kind is answered with -1. KIND: queue, which does all works,
and simple_queue, which does those of queues, with another one.
"""

import multiprocessing
import os
import signal
import sys
import time
from multiprocessing.managers import BaseManager

FORK = multiprocessing.get_context('fork')
LENGTH = 64  # of a queue
MOST_SAMPLES = 1 << 14  # of a process


def check(right):
    if not right:
        sys.exit('a wrong result')


class Counter:
    """An object of a manager."""

    def __init__(self):
        self.number = 0

    def add(self, n):
        self.number += n
        return self.number


class Manager(BaseManager):
    pass


Manager.register('Counter', Counter)


class Samples:
    """The time of every so many operations, in memory that all processes see."""

    def __init__(self, n):
        self.stride = n // MOST_SAMPLES + 1
        self.times = FORK.RawArray('d', MOST_SAMPLES)
        self.count = FORK.RawValue('Q', 0)

    def of(self, i, operation):
        if i % self.stride or self.count.value == MOST_SAMPLES:
            return operation()
        begin = time.perf_counter()
        result = operation()
        self.times[self.count.value] = time.perf_counter() - begin
        self.count.value += 1
        return result

    def all(self):
        return self.times[:self.count.value]


def run(parties, body):
    """body(party), which is a generator: up to its yield it makes itself ready."""
    gate = FORK.Barrier(parties)
    begins, ends = FORK.RawArray('d', parties), FORK.RawArray('d', parties)

    def party(i):
        steps = body(i)
        next(steps)
        gate.wait()
        begins[i] = time.perf_counter()
        next(steps, None)
        ends[i] = time.perf_counter()

    children = [FORK.Process(target=party, args=(i,)) for i in range(parties)]
    for child in children:
        child.start()
    for child in children:
        child.join()
        check(child.exitcode == 0)
    return max(ends) - min(begins)


class Works:
    """Each answers with numbers, the seconds first."""

    def __init__(self, make_queue):
        self.make_queue = make_queue

    def close(self):
        pass

    def pass_items(self, parties, n, size):
        queue, pairs = self.make_queue(), parties // 2
        sums = FORK.RawArray('Q', parties)

        def body(party):
            rest, total = b'x' * (size - 8), 0
            yield
            for i in range(n // pairs):
                if party < pairs:
                    number = i * pairs + party
                    queue.put(number if size == 8 else number.to_bytes(8, 'little') + rest)
                else:
                    item = queue.get()
                    check(size == 8 or len(item) == size)
                    number = item if size == 8 else int.from_bytes(item[:8], 'little')
                    check(pairs > 1 or number == i)
                total += number * number
            sums[party] = total % (1 << 64)

        took = run(parties, body)
        check(sum(sums[:pairs]) % (1 << 64) == sum(sums[pairs:]) % (1 << 64))
        return [took]

    def there_and_back(self, parties, n, size):
        there, back, samples = self.make_queue(), self.make_queue(), Samples(n)

        def body(party):
            item = 0 if size == 8 else b'x' * size

            def trip():
                there.put(item)
                return back.get()

            yield
            for i in range(n):
                if party == 0:
                    check(samples.of(i, trip) == item)
                else:
                    back.put(there.get())

        return [run(parties, body), *samples.all()]


class AllWorks(Works):
    """What is no matter of queues, too."""

    manager = None

    def close(self):
        if self.manager is not None:
            self.manager.shutdown()

    def _alone(self, lock, n):
        def body(_):
            yield
            for _ in range(n):
                lock.acquire()
                lock.release()

        return [run(1, body)]

    def alone_lock(self, _parties, n, _size):
        return self._alone(FORK.Lock(), n)

    def alone_semaphore(self, _parties, n, _size):
        return self._alone(FORK.Semaphore(1), n)

    def contend(self, parties, n, timed):
        """With what the party that got the lock least has of an equal share; then the times."""
        lock, counter = FORK.Lock(), FORK.RawValue('Q', 0)
        counts = FORK.RawArray('Q', parties)
        samples = [Samples(n // parties) for _ in range(parties)]

        def body(party):
            mine, over = 0, False
            yield
            while not over:
                if timed:
                    samples[party].of(mine, lock.acquire)
                else:
                    lock.acquire()
                over = counter.value == n
                if not over:
                    counter.value += 1
                    mine += 1
                lock.release()
            counts[party] = mine

        took = run(parties, body)
        check(counter.value == n == sum(counts))
        return [took, min(counts) * parties / n, *(t for s in samples for t in s.all())]

    def hand_over(self, parties, n, _size):
        """See the C++ form: each has one of three locks, takes the next, leaves the one it had."""
        locks, counter = [FORK.Lock() for _ in range(3)], FORK.RawValue('Q', 0)

        def body(party):
            at = party
            locks[at].acquire()
            yield
            for _ in range(n // 2):
                following = (at + 1) % 3
                locks[following].acquire()
                check(counter.value % 2 == 1 - party)
                counter.value += 1
                locks[at].release()
                at = following
            locks[at].release()

        took = run(parties, body)
        check(counter.value == n)
        return [took]

    def _wake(self, wake, wait, n):
        samples, counter = Samples(n), FORK.RawValue('Q', 0)

        def trip():
            counter.value += 1
            wake(1)
            wait(0)

        def body(party):
            yield
            for i in range(n):
                if party == 0:
                    samples.of(i, trip)
                    check(counter.value == 2 * i + 2)
                else:
                    wait(1)
                    check(counter.value == 2 * i + 1)
                    counter.value += 1
                    wake(0)

        return [run(2, body), *samples.all()]

    def wake_by_semaphores(self, _parties, n, _size):
        two = [FORK.Semaphore(0), FORK.Semaphore(0)]
        return self._wake(lambda i: two[i].release(), lambda i: two[i].acquire(), n)

    def wake_by_events(self, _parties, n, _size):
        two = [FORK.Event(), FORK.Event()]

        def wait(i):
            two[i].wait()
            two[i].clear()

        return self._wake(lambda i: two[i].set(), wait, n)

    def wake_by_condition(self, _parties, n, _size):
        condition, turn = FORK.Condition(FORK.Lock()), FORK.RawValue('i', 0)

        def wake(i):
            with condition:
                turn.value = i + 1
                condition.notify()

        def wait(i):
            with condition:
                while turn.value != i + 1:
                    condition.wait()

        return self._wake(wake, wait, n)

    def meet(self, parties, n, _size):
        barrier, rounds = FORK.Barrier(parties), FORK.RawArray('Q', parties)

        def body(party):
            yield
            for i in range(1, n + 1):
                rounds[party] = i
                barrier.wait()
                check(rounds[(party + 1) % parties] >= i)

        return [run(parties, body)]

    def call(self, parties, n, _size):
        if self.manager is None:
            self.manager = Manager(ctx=FORK)
            self.manager.start()
        counter = self.manager.Counter()
        samples = [Samples(n // parties) for _ in range(parties)]

        def body(party):
            last = counter.add(0)  # it is connected
            yield
            for i in range(n // parties):
                now = samples[party].of(i, lambda: counter.add(1))
                check(now > last)
                last = now

        took = run(parties, body)
        check(counter.add(0) == n)
        return [took, *(t for s in samples for t in s.all())]


KINDS = {'queue': lambda: AllWorks(lambda: FORK.Queue(LENGTH)),
         'simple_queue': lambda: Works(FORK.SimpleQueue)}


def main():
    signal.signal(signal.SIGTERM, lambda *_: os._exit(1))
    works = KINDS[sys.argv[1]]()
    out = os.fdopen(os.dup(1), 'w')
    for line in sys.stdin:
        work, *numbers = line.split()
        function = getattr(works, work, None)
        answer = function(*map(int, numbers)) if function else [-1]
        out.write(' '.join(map(repr, answer)) + '\n')
        out.flush()
    works.close()


if __name__ == '__main__':
    main()
