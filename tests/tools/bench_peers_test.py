"""Python's pools, locks and queues as the benchmarks' peers: they do the works, and say so where one
is not for them."""

import pathlib
import subprocess
import sys
import unittest

PEERS = pathlib.Path(__file__).resolve().parents[2] / 'benchmarks/peers'


def told(program, arguments, questions):
    """The numbers of each answer. The program ends when there are no more questions."""
    done = subprocess.run([sys.executable, '-B', PEERS / program, *arguments],
                          input='\n'.join(questions) + '\n', capture_output=True, text=True,
                          timeout=50, check=True)
    return [[float(number) for number in line.split()] for line in done.stdout.splitlines()]


def answers(kind, *questions):
    return told('pools.py', [kind, '2'], questions)


class Peers(unittest.TestCase):
    def test_works(self):
        for kind in 'executor', 'pool':
            with self.subTest(kind):
                found = answers(kind, 'warm_up 0 0', 'round_trips 5 0', 'in_flight 50 0',
                                'small_items 3000 0', 'as_completed 20 0', 'there_and_back 3 1000',
                                'argument 3 1000', 'result 3 1000')
                self.assertEqual([len(numbers) for numbers in found], [1, 6, 1, 1, 1, 4, 4, 4])
                self.assertTrue(all(n >= 0 for numbers in found for n in numbers))
                each = found[1][1:]
                self.assertLessEqual(sum(each), found[1][0])

    def test_who_runs(self):
        (numbers,) = answers('executor', 'who_runs 20 0')
        pids, counts = numbers[1::2], numbers[2::2]
        for pid in set(pids):
            of_it = sorted(c for p, c in zip(pids, counts) if p == pid)
            self.assertEqual(of_it, list(range(1, len(of_it) + 1)))
        self.assertEqual(len(pids), 20)

    def test_from_beginning_to_end(self):
        (start, stop), (recovery,) = answers('executor', 'live_fork 1 0', 'recover_fork 1 0')
        self.assertTrue(start > 0 and stop > 0 and recovery > 0)

    def test_not_for_this_pool(self):
        self.assertEqual(answers('pool', 'memory_pending 5 0', 'no_such_work 1 0'), [[-1], [-1]])


class Primitives(unittest.TestCase):
    def answers(self, kind, *questions):
        return told('primitives.py', [kind], questions)

    def test_locks(self):
        alone, semaphore, contended, timed, turns = self.answers(
            'queue', 'alone_lock 1 100 0', 'alone_semaphore 1 100 0', 'contend 2 100 0',
            'contend 4 100 1', 'hand_over 2 20 0')
        self.assertEqual([len(a) for a in (alone, semaphore, contended, turns)], [1, 1, 2, 1])
        self.assertTrue(0 <= contended[1] <= 1)  # a share
        self.assertEqual(len(timed), 2 + 100 + 4)  # each sees once more that it is over

    def test_who_wake_each_other(self):
        found = self.answers('queue', 'wake_by_semaphores 2 20 0', 'wake_by_condition 2 20 0',
                             'wake_by_events 2 20 0', 'meet 4 20 0', 'call 2 20 0')
        self.assertEqual([len(numbers) for numbers in found], [21, 21, 21, 1, 21])
        self.assertTrue(all(n > 0 for numbers in found for n in numbers))

    def test_queues(self):
        for kind in 'queue', 'simple_queue':
            with self.subTest(kind):
                found = self.answers(kind, 'pass_items 2 50 8', 'pass_items 4 50 1024',
                                     'there_and_back 2 5 8', 'there_and_back 2 5 1024')
                self.assertEqual([len(numbers) for numbers in found], [1, 1, 6, 6])

    def test_not_for_this_queue(self):
        self.assertEqual(self.answers('simple_queue', 'alone_lock 1 5 0', 'meet 2 5 0'),
                         [[-1], [-1]])


if __name__ == '__main__':
    unittest.main()
