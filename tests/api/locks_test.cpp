// Mutexes, semaphores, events, barriers and the like between workers, and what is left of them when
// a worker dies.
#include <gmock/gmock.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <mutex>
#include <thread>

#include "support/shared_memory.hpp"

namespace {

using namespace procpool;
using namespace procpool::testing;
using namespace std::chrono_literals;

class locks_test : public shared_test {};
PROCPOOL_FOR_EACH_START_METHOD(locks_test);

struct counters {
  long a = 0, b = 0;  // the same, but within the lock
  std::atomic<int> here = 0, most = 0, died = 0;
};
using shared_counters = shared_value<counters>;

void count(const mutex& m, const shared_counters& c, int times) {
  for (int i = 0; i < times; ++i) {
    const std::lock_guard lock(m);
    ++c->a;
    ++c->b;
  }
}

TEST_P(locks_test, a_mutex_excludes_other_workers) {
  process_pool_executor pool(options(3));
  const mutex m;
  const shared_counters c;
  pool.for_each(partial(count, m, c), std::vector<int>(20, 500));
  count(m, c, 1);
  EXPECT_EQ(c->a, 10'001);
  EXPECT_EQ(c->b, 10'001);
  EXPECT_FALSE(m.locked());
}

void die_within(const mutex& m, const shared_counters& c) {
  const std::lock_guard lock(m);
  ++c->a;
  raise(SIGKILL);
}
bool repair(const mutex& m, const shared_counters& c) {
  const std::lock_guard lock(m);
  const bool died = m.owner_died();
  c->b = c->a;
  return died;
}

TEST_P(locks_test, a_mutex_of_a_dead_worker_is_passed_on_and_reports_the_death) {
  process_pool_executor pool(options(2));
  const mutex m;
  const shared_counters c;
  EXPECT_THROW(pool.submit(die_within, m, c).get(), worker_crashed);
  EXPECT_TRUE(pool.submit(repair, m, c).get_for(30s));
  EXPECT_FALSE(pool.submit(repair, m, c).get_for(30s));
  EXPECT_EQ(c->b, 1);
}

TEST_P(locks_test, a_recursive_mutex_of_a_dead_worker) {
  process_pool_executor pool(options(1));
  const recursive_mutex m;
  const auto die = [](const recursive_mutex& r) {
    r.lock();
    r.lock();
    raise(SIGKILL);
  };
  EXPECT_THROW(pool.submit(die, m).get(), worker_crashed);
  EXPECT_TRUE(eventually([&] { return m.try_lock(); }));
  EXPECT_TRUE(m.owner_died());
  EXPECT_EQ(m.depth(), 1U);
  m.unlock();
  EXPECT_FALSE(m.locked());
}

void enter(const bounded_semaphore& s, const shared_counters& c, int) {
  const permit p(s);
  const int here = ++c->here;
  for (int most = c->most; most < here && !c->most.compare_exchange_weak(most, here);) {
  }
  std::this_thread::yield();
  --c->here;
}

TEST_P(locks_test, workers_have_no_more_permits_than_the_semaphore) {
  process_pool_executor pool(options(4));
  const bounded_semaphore s(2);
  const shared_counters c;
  pool.for_each(partial(enter, s, c), std::vector<int>(200));
  EXPECT_LE(c->most, 2);
  EXPECT_EQ(s.available(), 2);
}

TEST_P(locks_test, permits_of_a_dead_worker_return) {
  process_pool_executor pool(options(2));
  const bounded_semaphore s(2);
  const auto die = [](const bounded_semaphore& of) {
    const permit a(of), b(of);
    raise(SIGKILL);
  };
  EXPECT_THROW(pool.submit(die, s).get(), worker_crashed);
  EXPECT_TRUE(pool.submit(
                      [](const bounded_semaphore& of) {
                        const permit a(of), b(of);
                        return of.available() == 0;
                      },
                      s)
                  .get_for(30s));
  EXPECT_EQ(s.available(), 2);
  EXPECT_THROW(s.release(), invalid_state_error);
}

struct box {
  int full = 0;
  long sum = 0;
};

void produce(const mutex& m, const condition_variable& changed, const shared_value<box>& b, int n) {
  for (int i = 1; i <= n; ++i) {
    std::unique_lock lock(m);
    changed.wait(lock, [&] { return b->full == 0; });
    b->full = i;
    changed.notify_all();
  }
}
void consume(const mutex& m, const condition_variable& changed, const shared_value<box>& b, int n) {
  for (int i = 1; i <= n; ++i) {
    std::unique_lock lock(m);
    changed.wait(lock, [&] { return b->full != 0; });
    b->sum += std::exchange(b->full, 0);
    changed.notify_all();
  }
}

TEST_P(locks_test, a_condition_between_two_workers) {
  process_pool_executor pool(options(2));
  const mutex m;
  const condition_variable changed;
  const shared_value<box> b;
  auto in = pool.submit(produce, m, changed, b, 200),
       out = pool.submit(consume, m, changed, b, 200);
  in.get_for(20s);
  out.get_for(20s);
  EXPECT_EQ(b->sum, 200 * 201 / 2);
}

TEST_P(locks_test, a_worker_that_dies_in_a_wait_takes_no_notification) {
  process_pool_executor pool(options(2));
  const mutex m;
  const condition_variable changed;
  const shared_counters c;
  const auto wait = [](const mutex& mine, const condition_variable& v, const shared_counters& n) {
    std::unique_lock lock(mine);
    ++n->here;
    v.wait(lock);
    return 1;
  };
  auto first = pool.submit(wait, m, changed, c);
  EXPECT_TRUE(eventually([&] { return c->here == 1; }));
  auto second = pool.submit(wait, m, changed, c);
  EXPECT_TRUE(eventually([&] { return c->here == 2; }));
  {
    const std::lock_guard both_wait(m);
  }
  EXPECT_TRUE(first.cancel(cancel_mode::kill_running));
  // Until it is dead it could be notified, and return.
  ASSERT_TRUE(eventually([&] { return pool.stats().restarts == 1; }));
  changed.notify_one();
  EXPECT_EQ(second.get_for(30s), 1);
}

TEST_P(locks_test, an_event_wakes_all_workers) {
  process_pool_executor pool(options(3));
  const event go, done;
  std::vector<future<bool>> waiting;
  for (int i = 0; i < 3; ++i) {
    waiting.push_back(pool.submit([](const event& e) { return e.wait_for(20s); }, go));
  }
  auto last = pool.submit([](const event& e) { e.set(); }, done);  // waits for one of them
  EXPECT_FALSE(done.wait_for(1ms));
  go.set();
  for (auto& f : waiting) EXPECT_TRUE(f.get());
  done.wait();
  last.get();
}

TEST_P(locks_test, workers_meet_at_a_barrier) {
  process_pool_executor pool(options(3));
  const barrier b(3);
  std::vector<future<std::vector<std::size_t>>> parties;
  for (int i = 0; i < 3; ++i) {
    parties.push_back(pool.submit(
        [](const barrier& at) {
          std::vector<std::size_t> places;
          for (int turn = 0; turn < 20; ++turn) places.push_back(at.wait());
          return places;
        },
        b));
  }
  std::vector<std::vector<std::size_t>> places;
  for (auto& f : parties) places.push_back(f.get_for(20s));
  for (int turn = 0; turn < 20; ++turn) {
    std::vector<std::size_t> of_turn;
    for (const auto& p : places) of_turn.push_back(p[static_cast<std::size_t>(turn)]);
    EXPECT_THAT(of_turn, ::testing::UnorderedElementsAre(0, 1, 2));
  }
  EXPECT_EQ(b.waiting(), 0U);
}

TEST_P(locks_test, a_worker_that_dies_at_a_barrier_breaks_it) {
  process_pool_executor pool(options(2));
  const barrier b(3);
  const auto meet = [](const barrier& at) { return at.wait(); };
  auto dies = pool.submit(meet, b), waits = pool.submit(meet, b);
  EXPECT_TRUE(eventually([&] { return b.waiting() == 2; }));
  dies.cancel(cancel_mode::kill_running);
  EXPECT_THROW(waits.get_for(30s), broken_barrier_error);
  EXPECT_TRUE(b.broken());
  EXPECT_THROW(b.wait(), broken_barrier_error);
  b.reset();
  EXPECT_THROW(b.wait_for(1ms), broken_barrier_error);  // alone
}

TEST_P(locks_test, a_latch_counts_tasks) {
  process_pool_executor pool(options(2));
  const latch l(10);
  const auto arrive = [](const latch& at, int i) {
    at.count_down();
    return i;
  };
  auto results = pool.map(partial(arrive, l), std::vector<int>(10));
  l.wait();
  EXPECT_TRUE(l.try_wait());
  for (const int i : results) EXPECT_EQ(i, 0);
}

TEST_P(locks_test, handles_are_results_and_parts_of_results) {
  process_pool_executor pool(options(1));
  const auto [m, s] =
      pool.submit([] { return std::pair(mutex(), std::vector{bounded_semaphore(3)}); }).get();
  EXPECT_TRUE(m.try_lock());
  EXPECT_EQ(s[0].available(), 3);
  EXPECT_TRUE(
      pool.submit([](std::optional<mutex> o) { return o->locked(); }, std::optional(m)).get());
  EXPECT_TRUE(pool.submit([](const mutex& same) { return same; }, m).get() == m);
  m.unlock();
}

// Its permit is its own, and it cannot return the inherited permit.
TEST_P(locks_test, permits_in_a_process_that_a_task_forks) {
  process_pool_executor pool(options(1));
  const bounded_semaphore s(3);
  const int left = pool.submit(
                           [](const bounded_semaphore& of) {
                             permit inherited(of);
                             const pid_t copy = fork();
                             if (copy == 0) {
                               const permit own(of);
                               inherited.release();
                               _exit(static_cast<int>(of.available()));
                             }
                             int status = 0;
                             waitpid(copy, &status, 0);
                             return WEXITSTATUS(status);
                           },
                           s)
                       .get();
  EXPECT_EQ(left, 1);
  const permit a(s), b(s), c(s);  // also the permit that the copy has not returned
  EXPECT_EQ(s.available(), 0);
}

TEST_P(locks_test, a_mutex_in_a_process_that_a_task_forks) {
  process_pool_executor pool(options(1));
  const mutex m;
  const int in_copy = pool.submit(
                              [](const mutex& inherited) {
                                const std::lock_guard lock(inherited);
                                const pid_t copy = fork();
                                if (copy == 0) _exit(inherited.is_mine() ? 1 : 2);
                                int status = 0;
                                waitpid(copy, &status, 0);
                                return WEXITSTATUS(status);
                              },
                              m)
                          .get();
  EXPECT_EQ(in_copy, 2);
  EXPECT_TRUE(m.try_lock());
  EXPECT_FALSE(m.owner_died());
  m.unlock();
}

}  // namespace
