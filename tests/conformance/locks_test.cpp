// CPython's _TestLock, _TestRLock, _TestSemaphore, _TestCondition, _TestEvent and _TestBarrier, by
// their names (test/_test_multiprocessing.py), and how each misuse is told. Between threads of one
// process here, which are strangers to each other as those of different processes are; between
// workers in tests/api/locks_test.cpp.
#include <gmock/gmock.h>

#include <algorithm>
#include <atomic>
#include <functional>
#include <limits>
#include <mutex>
#include <shared_mutex>
#include <thread>
#include <vector>

#include "support/pool_test.hpp"

namespace {

using namespace procpool;
using namespace procpool::testing;
using namespace std::chrono_literals;
using ::testing::HasSubstr;
using ::testing::Property;
using ::testing::ThrowsMessage;

using steady = std::chrono::steady_clock;

class locks : public handle_test {};

template <class F>
void in_another_thread(F f) {
  std::thread(f).join();
}
template <class F>
void in_threads(int n, F f) {
  std::vector<std::thread> threads;
  for (int i = 0; i < n; ++i) threads.emplace_back(f, i);
  for (std::thread& t : threads) t.join();
}
// f waits without success for so long, at least.
template <class F>
void expect_timeout(duration d, F f) {
  const auto start = steady::now();
  EXPECT_FALSE(f());
  EXPECT_GE(duration(steady::now() - start), d);
}

TEST_F(locks, lock) {
  const mutex m;
  m.lock();
  EXPECT_FALSE(m.try_lock());
  EXPECT_TRUE(m.locked());
  m.unlock();
  EXPECT_THAT([&] { m.unlock(); }, ThrowsMessage<invalid_state_error>(HasSubstr("lock_guard")));
}

TEST_F(locks, lock_timeout) {
  const mutex m;
  EXPECT_TRUE(m.try_lock_for(-1s));
  in_another_thread([&] {
    EXPECT_FALSE(m.try_lock());
    EXPECT_FALSE(m.try_lock_for(-1s));
    expect_timeout(30ms, [&] { return m.try_lock_for(30ms); });
    expect_timeout(30ms, [&] { return m.try_lock_until(steady::now() + 30ms); });
    EXPECT_FALSE(m.try_lock_until(std::chrono::system_clock::now() + 5ms));
  });
  m.unlock();
}

// Ends that no clock can count to, ends that were before all clocks, and what is no number.
TEST_F(locks, times_beyond_the_clocks) {
  using std::chrono::system_clock;
  using hours_of_day = std::chrono::time_point<system_clock, std::chrono::hours>;
  constexpr duration no_number(std::numeric_limits<double>::quiet_NaN());
  constexpr duration for_ever(std::numeric_limits<double>::infinity());
  const mutex m;
  const condition_variable c;
  {
    const std::lock_guard lock(m);
    in_another_thread([&] {
      EXPECT_FALSE(m.try_lock_until(steady::time_point::min()));
      EXPECT_FALSE(m.try_lock_until(system_clock::time_point::min()));
      EXPECT_FALSE(m.try_lock_until(hours_of_day::min()));
      EXPECT_FALSE(m.try_lock_for(no_number));
      EXPECT_FALSE(m.try_lock_for(-for_ever));
    });
  }
  const auto never = [] { return false; };
  std::unique_lock lock(m);
  EXPECT_FALSE(c.wait_for(lock, no_number, never));
  EXPECT_FALSE(c.wait_until(lock, steady::time_point::min(), never));
  const std::function<bool(const procpool::event&)> long_waits[] = {
      [&](auto& e) { return e.wait_until(steady::time_point::max()); },
      [&](auto& e) { return e.wait_until(hours_of_day::max()); },
      [&](auto& e) { return e.wait_for(for_ever); },
      [&](auto& e) { return e.wait_for(std::chrono::hours::max()); }};
  for (const auto& wait : long_waits) {
    const procpool::event e;
    std::thread sets([&] { e.set(); });
    EXPECT_TRUE(wait(e));
    sets.join();
  }
}

TEST_F(locks, lock_belongs_to_its_thread) {
  const mutex m;
  const std::lock_guard lock(m);
  EXPECT_THAT([&] { m.lock(); }, ThrowsMessage<invalid_state_error>(HasSubstr("recursive_mutex")));
  EXPECT_FALSE(m.try_lock_for(5ms));
  in_another_thread([&] {
    EXPECT_THAT([&] { m.unlock(); }, ThrowsMessage<invalid_state_error>(HasSubstr("another")));
  });
  EXPECT_TRUE(m.is_mine());
}

TEST_F(locks, lock_context) {
  mutex a, b;
  {
    const std::scoped_lock both(a, b);
    EXPECT_TRUE(a.locked() && b.locked());
  }
  {
    std::unique_lock lock(a, 10ms);
    EXPECT_TRUE(lock.owns_lock());
  }
  EXPECT_FALSE(a.locked() || b.locked());
}

TEST_F(locks, lock_of_a_thread_that_has_ended) {
  const mutex m;
  in_another_thread([&] { m.lock(); });
  EXPECT_TRUE(m.try_lock_for(10s));
  EXPECT_TRUE(m.owner_died());
  m.unlock();
}

template <class Handle, class Use>
void expect_empty_once_moved(Handle h, Use use) {
  const Handle other = std::move(h);
  EXPECT_FALSE(static_cast<bool>(h));
  EXPECT_TRUE(static_cast<bool>(other));
  EXPECT_FALSE(h == other);
  EXPECT_THROW(use(h), invalid_state_error);
  h = other;
  h = *&h;  // the same one
  EXPECT_TRUE(h == other);
}

TEST_F(locks, moved_from) {
  expect_empty_once_moved(mutex(), [](auto& h) { h.lock(); });
  expect_empty_once_moved(recursive_mutex(), [](auto& h) { h.try_lock(); });
  expect_empty_once_moved(counting_semaphore(), [](auto& h) { h.acquire(); });
  expect_empty_once_moved(bounded_semaphore(), [](auto& h) { const permit p(h); });
  expect_empty_once_moved(condition_variable(), [](auto& h) { h.notify_one(); });
  expect_empty_once_moved(procpool::event(), [](auto& h) { h.wait_for(0s); });
  expect_empty_once_moved(procpool::latch(1), [](auto& h) { h.count_down(); });
  expect_empty_once_moved(procpool::barrier(1), [](auto& h) { h.wait(); });
  expect_empty_once_moved(queue<int>(1), [](auto& h) { h.put(1); });
}

TEST_F(locks, lock_of_all_kinds_at_once) {
  mutex a, b;
  recursive_mutex c;
  std::mutex ordinary;
  long n = 0;
  in_threads(3, [&](int i) {
    for (int turn = 0; turn < 500; ++turn) {
      if (i == 0) {
        const std::scoped_lock all(a, b, c, ordinary);
        ++n;
      } else if (i == 1) {
        const std::scoped_lock all(ordinary, c, b, a);
        ++n;
      } else {
        std::lock(b, a);
        const std::lock_guard x(a, std::adopt_lock), y(b, std::adopt_lock);
        ++n;
      }
    }
  });
  EXPECT_EQ(n, 1500);
}

TEST_F(locks, lock_with_the_condition_variable_of_the_standard) {
  mutex m;
  std::condition_variable_any c;
  bool go = false;
  std::thread other([&] {
    const std::lock_guard lock(m);
    go = true;
    c.notify_one();
  });
  std::unique_lock lock(m);
  c.wait(lock, [&] { return go; });
  EXPECT_TRUE(m.is_mine());
  lock.unlock();
  other.join();
}

TEST_F(locks, contended) {
  const mutex m;
  long n = 0;
  in_threads(4, [&](int) {
    for (int i = 0; i < 20'000; ++i) {
      const std::lock_guard lock(m);
      ++n;
    }
  });
  EXPECT_EQ(n, 80'000);
}

TEST_F(locks, rlock) {
  const recursive_mutex m;
  m.lock();
  EXPECT_TRUE(m.try_lock());
  EXPECT_TRUE(m.try_lock_for(0s));
  EXPECT_EQ(m.depth(), 3U);
  in_another_thread([&] {
    EXPECT_FALSE(m.try_lock());
    EXPECT_EQ(m.depth(), 0U);
    EXPECT_THROW(m.unlock(), invalid_state_error);
  });
  m.unlock();
  m.unlock();
  EXPECT_TRUE(m.locked());
  m.unlock();
  EXPECT_FALSE(m.locked());
  EXPECT_THROW(m.unlock(), invalid_state_error);
}

TEST_F(locks, semaphore) {
  const counting_semaphore s(2);
  EXPECT_EQ(s.available(), 2);
  s.acquire();
  EXPECT_TRUE(s.try_acquire());
  EXPECT_FALSE(s.try_acquire());
  EXPECT_EQ(s.available(), 0);
  in_another_thread([&] { s.release(3); });
  EXPECT_EQ(s.available(), 3);
  EXPECT_THROW(s.release(-1), std::invalid_argument);
  EXPECT_THROW(counting_semaphore(-1), std::invalid_argument);
}

TEST_F(locks, semaphore_timeout) {
  const counting_semaphore s(0);
  EXPECT_FALSE(s.try_acquire_for(-1s));
  expect_timeout(30ms, [&] { return s.try_acquire_for(30ms); });
  expect_timeout(30ms, [&] { return s.try_acquire_until(steady::now() + 30ms); });
  std::thread waits([&] { s.acquire(); });
  s.release();
  waits.join();
  EXPECT_EQ(s.available(), 0);
}

TEST_F(locks, bounded_semaphore) {
  const bounded_semaphore s(2);
  EXPECT_THAT([&] { s.release(); }, ThrowsMessage<invalid_state_error>(HasSubstr("permit")));
  s.acquire();
  s.release();
  EXPECT_EQ(s.available(), 2);
}

TEST_F(locks, semaphore_context) {
  const bounded_semaphore s(1);
  {
    permit p(s);
    EXPECT_FALSE(permit(s, 0s));
    const permit q = std::move(p);
    EXPECT_TRUE(q && !p);
  }
  const permit p(s, 10ms);
  EXPECT_TRUE(p);
}

struct waiters {
  mutex m;
  condition_variable c;
  int waiting = 0;
  std::atomic<int> woken = 0;
  std::vector<std::thread> threads;

  explicit waiters(int n) {
    for (int i = 0; i < n; ++i) {
      threads.emplace_back([this] {
        std::unique_lock lock(m);
        ++waiting;
        c.wait(lock);
        ++woken;
      });
    }
    EXPECT_TRUE(eventually([&] {
      const std::lock_guard lock(m);
      return waiting == n;
    }));
  }
  ~waiters() {
    for (std::thread& t : threads) t.join();
  }
  bool are_woken(int n) {
    return eventually([&] { return woken == n; });
  }
};

TEST_F(locks, condition_notify) {
  waiters w(2);
  w.c.notify_one();
  EXPECT_TRUE(w.are_woken(1));
  EXPECT_FALSE(eventually([&] { return w.woken != 1; }, 50ms));
  w.c.notify_one();
  EXPECT_TRUE(w.are_woken(2));
}

TEST_F(locks, condition_notify_all) {
  waiters w(6);
  w.c.notify_all();
  EXPECT_TRUE(w.are_woken(6));
}

TEST_F(locks, condition_notify_n) {
  waiters w(6);
  w.c.notify(1);
  EXPECT_TRUE(w.are_woken(1));
  w.c.notify(3);
  EXPECT_TRUE(w.are_woken(4));
  EXPECT_FALSE(eventually([&] { return w.woken != 4; }, 50ms));
  w.c.notify(5);
  EXPECT_TRUE(w.are_woken(6));
  w.c.notify(3);  // no waiter
}

TEST_F(locks, condition_timeout) {
  const mutex m;
  const condition_variable c;
  std::unique_lock lock(m);
  EXPECT_EQ(c.wait_for(lock, -1s), std::cv_status::timeout);
  expect_timeout(30ms, [&] { return c.wait_for(lock, 30ms) == std::cv_status::no_timeout; });
  expect_timeout(30ms, [&] { return c.wait_for(lock, 30ms, [] { return false; }); });
  EXPECT_FALSE(c.wait_until(lock, steady::now() + 5ms, [] { return false; }));
  EXPECT_TRUE(lock.owns_lock() && m.is_mine());
}

TEST_F(locks, condition_waitfor) {
  const recursive_mutex m;
  const condition_variable c;
  int state = 0;
  std::thread counts([&] {
    for (int i = 0; i < 4; ++i) {
      const std::lock_guard lock(m);
      ++state;
      c.notify_one();
    }
  });
  {
    std::unique_lock lock(m);
    c.wait(lock, [&] { return state == 4; });
    EXPECT_TRUE(c.wait_for(lock, 0s, [&] { return state == 4; }));
  }
  counts.join();
}

// A thread makes it true and does not notify: that costs a second.
TEST_F(locks, condition_asks_its_predicate_now_and_then) {
  const mutex m;
  const condition_variable c;
  std::atomic<bool> holds = false, ready = false;
  std::thread forgets([&] {
    EXPECT_TRUE(eventually([&] { return ready.load(); }));
    const std::lock_guard lock(m);
    holds = true;
  });
  std::unique_lock lock(m);
  ready = true;
  c.wait(lock, [&] { return holds.load(); });
  lock.unlock();
  forgets.join();
}

TEST_F(locks, condition_without_the_lock) {
  const mutex m;
  const condition_variable c;
  std::unique_lock lock(m, std::defer_lock);
  EXPECT_THROW(c.wait(lock), invalid_state_error);
  const recursive_mutex r;
  std::unique_lock twice(r);
  r.lock();
  EXPECT_THAT([&] { c.wait(twice); }, ThrowsMessage<invalid_state_error>(HasSubstr("once")));
  r.unlock();
}

TEST_F(locks, event) {
  const event e;
  EXPECT_FALSE(e.is_set());
  EXPECT_FALSE(e.wait_for(0s));
  expect_timeout(30ms, [&] { return e.wait_for(30ms); });
  e.set();
  e.set();
  EXPECT_TRUE(e.is_set());
  EXPECT_TRUE(e.wait_for(0s));
  e.wait();
  e.clear();
  EXPECT_FALSE(e.wait_until(steady::now()));
  std::thread sets([&] { e.set(); });
  EXPECT_TRUE(e.wait_for(20s));
  sets.join();
}

TEST_F(locks, event_reset_at_once) {
  const event e;
  std::atomic<int> woken = 0, waiting = 0;
  std::thread sets([&] {
    EXPECT_TRUE(eventually([&] { return waiting == 3; }));
    EXPECT_TRUE(eventually([&] {
      e.set();
      e.clear();
      return woken == 3;
    }));
  });
  in_threads(3, [&](int) {
    ++waiting;
    e.wait();
    ++woken;
  });
  sets.join();
}

TEST_F(locks, barrier) {
  const barrier b(5);
  std::atomic<int> arrived = 0;
  in_threads(5, [&](int) {
    for (int turn = 1; turn <= 10; ++turn) {
      ++arrived;
      b.wait();
      EXPECT_GE(arrived, 5 * turn);
    }
  });
  EXPECT_EQ(b.waiting(), 0U);
  EXPECT_FALSE(b.broken());
  EXPECT_EQ(b.parties(), 5U);
  EXPECT_THROW(procpool::barrier(0), std::invalid_argument);
}

TEST_F(locks, barrier_wait_return) {
  const barrier b(5);
  std::atomic<std::size_t> places[5] = {};
  in_threads(5, [&](int i) { places[i] = b.wait(); });
  std::vector<std::size_t> all(std::begin(places), std::end(places));
  EXPECT_THAT(all, ::testing::UnorderedElementsAre(0, 1, 2, 3, 4));
}

TEST_F(locks, barrier_abort) {
  const barrier b(5);
  std::atomic<int> broken = 0;
  in_threads(5, [&](int i) {
    try {
      if (i == 2) b.abort();
      b.wait();
    } catch (const broken_barrier_error&) {
      ++broken;
    }
  });
  EXPECT_EQ(broken, 5);
  EXPECT_TRUE(b.broken());
}

TEST_F(locks, barrier_reset) {
  const barrier b(5);
  std::atomic<int> broken = 0, through = 0;
  in_threads(5, [&](int i) {
    if (i == 2) {
      EXPECT_TRUE(eventually([&] { return b.waiting() == 4; }));
      b.reset();
      EXPECT_TRUE(eventually([&] { return broken == 4; }));
    } else {
      EXPECT_THROW(b.wait(), broken_barrier_error);
      ++broken;
    }
    b.wait();
    ++through;
  });
  EXPECT_EQ(through, 5);
}

TEST_F(locks, barrier_abort_and_reset) {
  const barrier b(2);
  b.abort();
  EXPECT_THAT([&] { b.wait(); }, ThrowsMessage<broken_barrier_error>(HasSubstr("reset()")));
  b.reset();
  in_threads(2, [&](int) { b.wait(); });
}

TEST_F(locks, barrier_timeout) {
  const barrier b(3);
  in_threads(2, [&](int i) {
    if (i == 0) {
      EXPECT_THROW(b.wait_for(20ms), broken_barrier_error);
    } else {
      EXPECT_THROW(b.wait(), broken_barrier_error);
    }
  });
  EXPECT_TRUE(b.broken());
  EXPECT_EQ(b.waiting(), 0U);
}

TEST_F(locks, barrier_single_thread) {
  const barrier b(1);
  EXPECT_EQ(b.wait(), 0U);
  EXPECT_EQ(b.wait_for(0s), 0U);
}

TEST_F(locks, barrier_thousand) {
  const barrier b(2);
  in_threads(2, [&](int) {
    for (int turn = 0; turn < 1000; ++turn) b.wait();
  });
  EXPECT_FALSE(b.broken());
}

TEST_F(locks, latch) {
  const latch l(3);
  EXPECT_FALSE(l.try_wait());
  expect_timeout(20ms, [&] { return l.wait_for(20ms); });
  in_threads(3, [&](int) { l.arrive_and_wait(); });
  l.wait();
  EXPECT_THROW(l.count_down(), invalid_state_error);
  EXPECT_THROW(l.count_down(-1), std::invalid_argument);
  EXPECT_THROW(procpool::latch(-1), std::invalid_argument);
}

}  // namespace
