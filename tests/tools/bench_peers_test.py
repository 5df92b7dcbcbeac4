"""Python's pools as the benchmarks' peers: they do the works, and say so where one is not for them."""

import pathlib
import subprocess
import sys
import unittest

PEERS = pathlib.Path(__file__).resolve().parents[2] / 'benchmarks/peers/pools.py'


def answers(kind, *questions):
    """The numbers of each answer. The program ends when there are no more questions."""
    done = subprocess.run([sys.executable, '-B', PEERS, kind, '2'], input='\n'.join(questions) + '\n',
                          capture_output=True, text=True, timeout=50, check=True)
    return [[float(number) for number in line.split()] for line in done.stdout.splitlines()]


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


if __name__ == '__main__':
    unittest.main()
