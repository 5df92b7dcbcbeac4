// What each party of a work does. The handles are those of a kit: see kit.hpp.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <vector>

#include "primitives/stage.hpp"
#include "work.hpp"

namespace bench {

template <class Lock>
void take_alone(const Lock& lock, stage& s, const plan& p, int party) {
  const presence here(s, p, party);
  for (int i = 0; i < p.n; ++i) {
    lock.lock();
    ++s.counter;
    lock.unlock();
  }
}

// Until all parties have counted to n together: a party that gets the lock less often counts less.
template <class Lock>
void contend_for(const Lock& lock, stage& s, const plan& p, int party) {
  presence here(s, p, party);
  const auto n = static_cast<std::uint64_t>(p.n);
  std::uint64_t mine = 0;
  for (bool over = false; !over;) {
    here.time(mine, [&] { lock.lock(); });
    over = s.counter == n;
    if (!over) ++s.counter;
    lock.unlock();
    if (over) break;
    ++mine;
    std::uint64_t found = compute(p.rounds);
    asm volatile("" : "+r"(found));  // it is computed
  }
  s.parts[party].count.store(mine, std::memory_order_relaxed);
}

// Each of two parties holds one of three locks, takes the next one, and releases its old one. The
// party that took the free lock must then wait until the other one moves on. So they take turns,
// and each step waits for a lock that the other party releases.
template <class Lock>
void hand_over_locks(const std::array<Lock, 3>& locks, stage& s, const plan& p, int party) {
  auto at = static_cast<std::size_t>(party);
  locks[at].lock();
  {
    const presence here(s, p, party);
    for (int i = 0; i < p.n / 2; ++i) {
      const std::size_t next = (at + 1) % locks.size();
      locks[next].lock();
      expect(s.counter % 2 == static_cast<std::uint64_t>(1 - party));  // party 1 begins
      ++s.counter;
      locks[at].unlock();
      at = next;
    }
  }
  locks[at].unlock();
}

// The same between two parties that wake each other.
template <class Signals>
void wake_in_turns(const Signals& signals, stage& s, const plan& p, int party) {
  presence here(s, p, party);
  for (std::uint64_t i = 0; i < static_cast<std::uint64_t>(p.n); ++i) {
    if (party == 1) {
      signals.await(s, 1);
      expect(s.counter == 2 * i + 1);
      ++s.counter;
      signals.wake(s, 0);
      continue;
    }
    here.time(i, [&] {
      ++s.counter;
      signals.wake(s, 1);
      signals.await(s, 0);
    });
    expect(s.counter == 2 * i + 2);
  }
}

// The number of an item, in its first bytes.
inline void stamp(std::vector<char>& item, std::uint64_t number) {
  std::memcpy(item.data(), &number, sizeof(number));
}
inline std::uint64_t stamp_of(const std::vector<char>& item, const plan& p) {
  expect(item.size() == p.bytes && (p.bytes == sizeof(std::uint64_t) || item.back() == 'x'));
  std::uint64_t number = 0;
  std::memcpy(&number, item.data(), sizeof(number));
  return number;
}
// Equal sums of these mean, almost certainly, that the received numbers are the sent ones.
inline std::uint64_t mixed(std::uint64_t number) {
  number = (number ^ (number >> 30U)) * 0xbf58476d1ce4e5b9U;
  return number ^ (number >> 27U);
}

// The first half of the parties puts, the other half gets.
template <class Queue>
void pass_items(const Queue& q, stage& s, const plan& p, int party) {
  std::vector<char> item(p.bytes, 'x');
  const int pairs = p.parties / 2;
  std::uint64_t sum = 0;
  const presence here(s, p, party);
  for (int i = 0; i < p.n / pairs; ++i) {
    if (party < pairs) {
      const auto number = static_cast<std::uint64_t>(i * pairs + party);
      sum += mixed(number);
      stamp(item, number);
      q.put(item);
    } else {
      q.get(item);
      const std::uint64_t number = stamp_of(item, p);
      expect(pairs != 1 || number == static_cast<std::uint64_t>(i));
      sum += mixed(number);
    }
  }
  s.parts[party].check = sum;
}

template <class Queue>
void send_there_and_back(const std::array<Queue, 2>& queues, stage& s, const plan& p, int party) {
  std::vector<char> item(p.bytes, 'x');
  presence here(s, p, party);
  for (std::uint64_t i = 0; i < static_cast<std::uint64_t>(p.n); ++i) {
    if (party == 1) {
      queues[0].get(item);
      stamp(item, stamp_of(item, p) + 1);
      queues[1].put(item);
      continue;
    }
    here.time(i, [&] {
      stamp(item, i);
      queues[0].put(item);
      queues[1].get(item);
    });
    expect(stamp_of(item, p) == i + 1);
  }
}

// When a round is over, every party has taken part in it.
template <class Barrier>
void meet_at(const Barrier& b, stage& s, const plan& p, int party) {
  const part& neighbour = s.parts[(party + 1) % p.parties];
  const presence here(s, p, party);
  for (std::uint64_t i = 1; i <= static_cast<std::uint64_t>(p.n); ++i) {
    s.parts[party].count.store(i, std::memory_order_relaxed);
    b.wait();
    expect(neighbour.count.load(std::memory_order_relaxed) >= i);
  }
}

// Adds to a number in another process, which returns the new value.
template <class Counter>
void call_counter(const Counter& c, stage& s, const plan& p, int party) {
  std::uint64_t last = c.add(party, 0);  // it is connected
  presence here(s, p, party);
  for (int i = 0; i < p.n / p.parties; ++i) {
    std::uint64_t now = 0;
    here.time(static_cast<std::uint64_t>(i), [&] { now = c.add(party, 1); });
    expect(now > last);
    last = now;
  }
  s.parts[party].check = last;
}

}  // namespace bench
