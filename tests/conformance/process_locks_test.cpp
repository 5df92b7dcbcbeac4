// CPython's _TestLock, _TestSemaphore, _TestCondition, _TestEvent, _TestBarrier and _TestQueue
// (test/_test_multiprocessing.py), by their names, between processes of each start method. The same
// between threads is in locks_test.cpp, what else queues do in queue_test.cpp.
#include <gmock/gmock.h>
#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <fstream>
#include <mutex>
#include <stdexcept>
#include <vector>

#include "support/process_fixture.hpp"

namespace {

using namespace procpool;
using namespace procpool::testing;
using namespace std::chrono_literals;

constexpr auto bound = 20s;

// In a process, where a test cannot fail: its exit code does.
void require(bool holds) {
  if (!holds) std::exit(9);
}

class process_locks_test : public started_process_test {
 protected:
  void SetUp() override {
    const mutex first;  // the tables of shared objects stay
    started_process_test::SetUp();
  }
  template <class F, class... Args>
  void start(int n, F f, const Args&... args) {
    for (int i = 0; i < n; ++i) crew_.emplace_back(started(), f, args...);
  }
  void finish() {
    for (const process& p : crew_) {
      EXPECT_TRUE(p.join_for(bound));
      EXPECT_EQ(p.exit_code(), 0);
    }
    crew_.clear();
  }
  void TearDown() override {
    crew_.clear();
    started_process_test::TearDown();
  }

 private:
  std::vector<process> crew_;
};
PROCPOOL_FOR_EACH_START_METHOD(process_locks_test);

template <class Mutex>
void hold(const Mutex& m, const event& has_it, const event& let_go) {
  const std::lock_guard lock(m);
  has_it.set();
  require(let_go.wait_for(bound));
}

TEST_P(process_locks_test, lock_locked_2processes) {
  const mutex m;
  const procpool::event has_it, let_go;
  start(1, hold<mutex>, m, has_it, let_go);
  EXPECT_TRUE(has_it.wait_for(bound));
  EXPECT_TRUE(m.locked());
  EXPECT_FALSE(m.is_mine() || m.try_lock() || m.try_lock_for(10ms));
  EXPECT_THROW(m.unlock(), invalid_state_error);
  let_go.set();
  EXPECT_TRUE(m.try_lock_for(bound));
  EXPECT_FALSE(m.owner_died());
  m.unlock();
  finish();
}

TEST_P(process_locks_test, rlock_locked_2processes) {
  const recursive_mutex m;
  const event has_it, let_go;
  start(1, hold<recursive_mutex>, m, has_it, let_go);
  EXPECT_TRUE(has_it.wait_for(bound));
  EXPECT_TRUE(m.locked());
  EXPECT_EQ(m.depth(), 0U);
  EXPECT_FALSE(m.try_lock() || m.try_lock_for(10ms));
  EXPECT_THROW(m.unlock(), invalid_state_error);
  let_go.set();
  finish();
  EXPECT_FALSE(m.locked());
}

void take_and_give(const counting_semaphore& s, int take, int give) {
  for (int i = 0; i < take; ++i) s.acquire();
  s.release(give);
}

TEST_P(process_locks_test, semaphore) {
  const counting_semaphore s(2);
  start(1, take_and_give, s, 2, 0);
  finish();
  EXPECT_EQ(s.available(), 0);  // what acquire() took belongs to no process, and stays taken
  start(1, take_and_give, s, 0, 3);
  EXPECT_TRUE(s.try_acquire_for(bound));
  finish();
  EXPECT_EQ(s.available(), 2);
}

TEST_P(process_locks_test, bounded_semaphore) {
  const bounded_semaphore s(1);
  start(
      1,
      [](const bounded_semaphore& b) {
        try {
          b.release();
          std::exit(1);
        } catch (const invalid_state_error&) {
        }
      },
      s);
  finish();
  EXPECT_EQ(s.available(), 1);
}

// As Python's tests of conditions have it: how many sleep, and how many were woken.
struct room {
  mutex m;
  condition_variable c;
  counting_semaphore sleeping{0}, woken{0};

  void await_sleepers(int n) const {
    for (int i = 0; i < n; ++i) EXPECT_TRUE(sleeping.try_acquire_for(bound));
    const std::lock_guard they_wait(m);
  }
  void expect_woken(int n) const {
    for (int i = 0; i < n; ++i) EXPECT_TRUE(woken.try_acquire_for(bound));
    EXPECT_FALSE(woken.try_acquire_for(30ms));
  }
};

void sleep_in(const room& r) {
  std::unique_lock lock(r.m);
  r.sleeping.release();
  r.c.wait(lock);
  r.woken.release();
}

TEST_P(process_locks_test, notify) {
  const room r;
  start(2, sleep_in, r);
  r.await_sleepers(2);
  r.expect_woken(0);
  r.c.notify_one();
  r.expect_woken(1);
  r.c.notify_one();
  r.expect_woken(1);
  finish();
}

void sleep_twice_in(const room& r) {
  std::unique_lock lock(r.m);
  r.sleeping.release();
  require(r.c.wait_for(lock, 20ms) == std::cv_status::timeout);
  r.woken.release();
  r.sleeping.release();
  r.c.wait(lock);
  r.woken.release();
}

TEST_P(process_locks_test, notify_all) {
  const room r;
  start(3, sleep_twice_in, r);
  r.await_sleepers(6);  // the first time they woke of their own accord
  r.expect_woken(3);
  r.c.notify_all();
  r.expect_woken(3);
  finish();
}

TEST_P(process_locks_test, notify_n) {
  const room r;
  start(6, sleep_in, r);
  r.await_sleepers(6);
  r.c.notify(1);
  r.expect_woken(1);
  r.c.notify(4);
  r.expect_woken(4);
  r.c.notify(3);
  r.expect_woken(1);
  r.c.notify(3);
  r.expect_woken(0);
  finish();
}

TEST_P(process_locks_test, waitfor) {
  const room r;
  const shared_value<int> state;
  start(
      1,
      [](const room& in, const shared_value<int>& s) {
        std::unique_lock lock(in.m);
        in.c.wait(lock, [&] { return *s == 0; });
        in.sleeping.release();
        require(in.c.wait_for(lock, bound, [&] { return *s == 4; }));
      },
      r, state);
  r.await_sleepers(1);
  for (int i = 0; i < 4; ++i) {
    const std::lock_guard lock(r.m);
    ++*state;
    r.c.notify_one();
  }
  finish();
}

TEST_P(process_locks_test, waitfor_timeout) {
  const room r;
  start(
      1,
      [](const room& in) {
        std::unique_lock lock(in.m);
        const auto begin = std::chrono::steady_clock::now();
        require(!in.c.wait_for(lock, 50ms, [] { return false; }));
        require(std::chrono::steady_clock::now() - begin >= 50ms);
        require(in.m.is_mine());
      },
      r);
  finish();
}

TEST_P(process_locks_test, wait_result) {
  const room r;
  std::unique_lock lock(r.m);
  EXPECT_EQ(r.c.wait_for(lock, 0s), std::cv_status::timeout);
  EXPECT_EQ(r.c.wait_for(lock, 10ms), std::cv_status::timeout);
  start(
      1,
      [](const room& in) {
        const std::lock_guard theirs(in.m);
        in.c.notify_one();
      },
      r);
  EXPECT_EQ(r.c.wait_for(lock, bound), std::cv_status::no_timeout);
  lock.unlock();
  finish();
}

// What a notifier has said is true, and then it dies: those with a predicate find out.
TEST_P(process_locks_test, the_notifying_process_is_killed_before_it_notifies) {
  const room r;
  const shared_value<int> state;
  start(
      1,
      [](const room& in, const shared_value<int>& s) {
        std::unique_lock lock(in.m);
        in.sleeping.release();
        in.c.wait(lock, [&] { return *s == 1; });
      },
      r, state);
  r.await_sleepers(1);
  process p(
      started(),
      [](const room& in, const shared_value<int>& s) {
        const std::lock_guard lock(in.m);
        *s = 1;
        raise(SIGKILL);
      },
      r, state);
  finish();
}

TEST_P(process_locks_test, event) {
  const event ready, go;
  start(
      3,
      [](const procpool::event& here, const procpool::event& there) {
        here.set();
        require(there.wait_for(bound));
        require(there.is_set());
      },
      ready, go);
  EXPECT_TRUE(ready.wait_for(bound));
  go.set();
  finish();
  ready.clear();
  EXPECT_FALSE(ready.wait_for(10ms));
}

using arrivals = shared_value<std::atomic<std::size_t>>;

void meet(const barrier& b, const arrivals& n, std::size_t turns) {
  for (std::size_t turn = 1; turn <= turns; ++turn) {
    ++*n;
    b.wait();
    require(*n >= turn * b.parties());
  }
}

TEST_P(process_locks_test, barrier) {
  const procpool::barrier b(5);
  const arrivals n(0U);
  start(4, meet, b, n, std::size_t{1});
  meet(b, n, 1);
  finish();
  EXPECT_EQ(b.waiting(), 0U);
  EXPECT_FALSE(b.broken());
}

TEST_P(process_locks_test, barrier_10) {
  const procpool::barrier b(3);
  const arrivals n(0U);
  start(3, meet, b, n, std::size_t{10});
  finish();
  EXPECT_EQ(*n, 30U);
}

TEST_P(process_locks_test, wait_return) {
  const procpool::barrier b(5);
  const arrivals sum(0U), zeros(0U);
  start(
      5,
      [](const procpool::barrier& at, const arrivals& s, const arrivals& z) {
        const std::size_t place = at.wait();
        *s += place;
        *z += place == 0 ? 1 : 0;
      },
      b, sum, zeros);
  finish();
  EXPECT_EQ(*sum, 10U);
  EXPECT_EQ(*zeros, 1U);
}

void meet_in_vain(const procpool::barrier& b) {
  try {
    b.wait();
    std::exit(1);
  } catch (const broken_barrier_error&) {
  }
}
bool all_wait(const procpool::barrier& b, std::size_t n) {
  return eventually([&] { return b.waiting() == n; });
}

TEST_P(process_locks_test, abort) {
  const procpool::barrier b(5);
  start(4, meet_in_vain, b);
  EXPECT_TRUE(all_wait(b, 4));
  b.abort();
  finish();
  EXPECT_TRUE(b.broken());
}

TEST_P(process_locks_test, reset) {
  const procpool::barrier b(3);
  const arrivals n(0U);
  start(2, meet_in_vain, b);
  EXPECT_TRUE(all_wait(b, 2));
  b.reset();
  finish();
  EXPECT_FALSE(b.broken());
  start(2, meet, b, n, std::size_t{2});
  meet(b, n, 2);
  finish();
}

TEST_P(process_locks_test, abort_and_reset) {
  const procpool::barrier b(3);
  const arrivals n(0U);
  start(2, meet_in_vain, b);
  EXPECT_TRUE(all_wait(b, 2));
  b.abort();
  finish();
  EXPECT_THROW(b.wait(), broken_barrier_error);
  b.reset();
  start(3, meet, b, n, std::size_t{2});
  finish();
}

TEST_P(process_locks_test, timeout) {
  const procpool::barrier b(3);
  start(1, meet_in_vain, b);
  EXPECT_TRUE(all_wait(b, 1));
  EXPECT_THROW(b.wait_for(20ms), broken_barrier_error);
  finish();
}

TEST_P(process_locks_test, thousand) {
  const procpool::barrier b(2);
  const arrivals n(0U);
  start(1, meet, b, n, std::size_t{1000});
  meet(b, n, 1000);
  finish();
}

// Python's test_fork: a process continues where its parent has begun.
TEST_P(process_locks_test, fork) {
  const queue<int> q(20);
  for (int i = 0; i < 10; ++i) q.put(i);
  start(
      1,
      [](const queue<int>& to) {
        for (int i = 10; i < 20; ++i) to.put(i);
      },
      q);
  finish();
  EXPECT_EQ(q.size(), 20U);
  for (int i = 0; i < 20; ++i) EXPECT_EQ(q.get(), i);
  EXPECT_TRUE(q.empty());
}

TEST_P(process_locks_test, queue_task_done) {
  const queue<int> q(20);
  start(
      4,
      [](const queue<int>& from) {
        for ([[maybe_unused]] const int i : from) from.task_done();
      },
      q);
  for (int i = 0; i < 40; ++i) q.put(i);
  EXPECT_TRUE(q.join_for(bound));
  q.close();
  finish();
}

TEST_P(process_locks_test, a_worker_and_a_process) {
  process_pool_executor pool(options(1));
  const mutex m;
  const procpool::event has_it, let_go;
  start(1, hold<mutex>, m, has_it, let_go);
  EXPECT_TRUE(has_it.wait_for(bound));
  auto waits = pool.submit([](const mutex& theirs) { return theirs.try_lock_for(bound); }, m);
  let_go.set();
  EXPECT_TRUE(waits.get());
  finish();
}

enum class leaving { by_exit, by_underscore_exit, by_quick_exit, by_abort, by_throw, by_exec };

void leave_with_it(const mutex& m, leaving how) {
  m.lock();
  if (how == leaving::by_exit) std::exit(0);
  if (how == leaving::by_underscore_exit) _exit(0);
  if (how == leaving::by_quick_exit) std::quick_exit(0);
  if (how == leaving::by_abort) std::abort();
  if (how == leaving::by_throw) throw std::runtime_error("leaves");
  execl("/bin/true", "true", nullptr);  // has it until that program ends
}

TEST_P(process_locks_test, the_owner_leaves_in_any_way) {
  const mutex m;
  for (const leaving how : {leaving::by_exit, leaving::by_underscore_exit, leaving::by_quick_exit,
                            leaving::by_abort, leaving::by_throw, leaving::by_exec}) {
    process p(started(), leave_with_it, m, how);
    p.join();
    EXPECT_TRUE(m.try_lock_for(bound)) << static_cast<int>(how);
    EXPECT_TRUE(m.owner_died()) << static_cast<int>(how);
    m.unlock();
  }
}

bool is_stopped(pid_t pid) {
  std::string text;
  std::getline(std::ifstream("/proc/" + std::to_string(pid) + "/stat"), text);
  return text.find(") T") != std::string::npos;
}

// No time is long enough to take a process for dead that is not.
TEST_P(process_locks_test, a_stopped_owner_keeps_the_mutex) {
  const mutex m;
  const bounded_semaphore s(1);
  const procpool::event has_it;
  process p(
      started(),
      [](const mutex& theirs, const bounded_semaphore& of, const procpool::event& e) {
        const std::lock_guard lock(theirs);
        const permit held(of);
        e.set();
        wait_for_ever();
      },
      m, s, has_it);
  EXPECT_TRUE(has_it.wait_for(bound));
  ::kill(p.pid(), SIGSTOP);
  EXPECT_TRUE(eventually([&] { return is_stopped(p.pid()); }));
  EXPECT_FALSE(m.try_lock_for(300ms));
  EXPECT_FALSE(permit(s, 300ms));
  p.kill();
  EXPECT_TRUE(m.try_lock_for(bound));
  EXPECT_TRUE(permit(s, bound));
  m.unlock();
}

}  // namespace
