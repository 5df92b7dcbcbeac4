// What goes wrong in a worker outside of tasks: in the initializer, between two tasks, in the
// finalizer; each in every way. No task is blamed for it.
#include <algorithm>
#include <thread>

#include "chaos/strike.hpp"
#include "support/pool_test.hpp"
#include "support/tally.hpp"

namespace {

using namespace procpool;
using namespace procpool::testing;
using namespace std::chrono_literals;

int twice(int x) { return 2 * x; }

class worker_life_test : public pool_test {
 protected:
  // The pid of a worker that waits for tasks; 0 if there is none in time.
  static pid_t idle_worker(const process_pool_executor& pool) {
    pid_t found = 0;
    eventually([&] {
      for (const worker_stats& w : pool.stats().workers) {
        if (w.state == worker_state::idle) found = w.pid;
      }
      return found != 0;
    });
    return found;
  }
  // Whether another worker takes the place of this one.
  static bool replaced(const process_pool_executor& pool, pid_t victim) {
    return eventually([&] {
      const pool_stats now = pool.stats();
      return std::ranges::none_of(
          now.workers, [&](const worker_stats& w) { return w.pid == victim || w.pid == 0; });
    });
  }
};
PROCPOOL_FOR_EACH_START_METHOD(worker_life_test);

std::string why_broken(how h) {
  switch (h) {
    case how::throw_:
      return "the pool's initializer failed in worker 0: struck";
    case how::throw_int:
      return "the pool's initializer failed in worker 0: an exception of type int (to catch it as "
             "that "
             "type, register it with PROCPOOL_EXCEPTION(int))";
    default:
      return (expected_signal(h) == 0 ? "the pool's workers " : "the pool's workers were ") +
             expected_cause(h) + " in the initializer, again and again";
  }
}

TEST_P(worker_life_test, an_initializer_that_fails_breaks_the_pool_and_says_why) {
  for (const how h : all_hows) {
    if (h == how::hang) continue;  // the next test
    SCOPED_TRACE(static_cast<int>(h));
    pool_options o = options(1);
    o.initializer = partial(strike, h);
    process_pool_executor pool(std::move(o));
    std::vector<future<int>> futures;
    try {
      for (int i = 0; i < 10; ++i) futures.push_back(pool.submit(twice, i));
    } catch (const broken_process_pool&) {
      // as good as later
    }
    for (future<int>& f : futures) {
      try {
        f.get_for(20s);
        ADD_FAILURE() << "a task ran without its initializer";
      } catch (const broken_process_pool& e) {
        EXPECT_EQ(e.what(), why_broken(h));
      }
    }
    ASSERT_TRUE(eventually([&] {
      try {
        return pool.submit(twice, 1).wait_for(0s), false;
      } catch (const broken_process_pool& e) {
        return e.what() == why_broken(h);
      }
    }));
  }
}

TEST_P(worker_life_test, an_initializer_that_hangs_can_be_ended) {
  for (const int way : {0, 1, 2}) {
    SCOPED_TRACE(way);
    const tally begun;
    pool_options o = options(1);
    o.initializer = partial(
        [](const std::string& path) {
          add_to_tally(path);
          strike(how::hang);
        },
        begun.path());
    process_pool_executor pool(std::move(o));
    future<int> f = pool.submit(twice, 1);
    ASSERT_TRUE(eventually([&] { return begun.count() == 1; }));
    EXPECT_FALSE(f.done());
    EXPECT_FALSE(f.running());
    if (way == 0) pool.kill_workers();
    if (way == 1) pool.terminate_workers();
    if (way == 2) pool.shutdown({.timeout = 10ms});
    EXPECT_THROW(f.get_for(20s), cancelled_error);
  }
}

// One worker dies that has nothing to do, by a signal from outside.
TEST_P(worker_life_test, an_idle_worker_that_is_killed_is_replaced_without_a_trace) {
  pool_options o = options();
  // A sanitizer's own handler would write a report, with the help of one more process.
  o.initializer = [] { std::signal(SIGSEGV, SIG_DFL); };
  process_pool_executor pool(std::move(o));
  std::size_t deaths = 0;
  for (const int signal : {SIGKILL, SIGSEGV, SIGTERM, SIGABRT, SIGKILL}) {
    SCOPED_TRACE(signal);
    pool.submit(twice, 1).get();
    const pid_t victim = idle_worker(pool);
    ASSERT_GT(victim, 0);
    ASSERT_EQ(kill(victim, signal), 0);
    EXPECT_EQ(pool.submit(twice, 2).get_for(20s), 4);
    ASSERT_TRUE(replaced(pool, victim));
    EXPECT_EQ(pool.stats().restarts, ++deaths);
  }
  EXPECT_EQ(pool.stats().failed, 0U);
}

// A thread that a task has left behind strikes after the task's end.
pid_t leave_a_thread(how h, const std::string& gate) {
  std::thread([h, gate] {
    await_tally(gate, 1);
    strike(h);
  }).detach();
  return getpid();
}

TEST_P(worker_life_test, a_worker_that_dies_by_itself_between_tasks_is_replaced) {
  process_pool_executor pool(options());
  std::size_t deaths = 0;
  for (const how h : all_hows) {
    SCOPED_TRACE(static_cast<int>(h));
    const tally gate;
    const pid_t victim = pool.submit(leave_a_thread, h, gate.path()).get();
    ASSERT_TRUE(eventually([&] { return pool.stats().running == 0; }));
    gate.add();
    if (h == how::hang) continue;  // a thread that does nothing does no harm, in shutdown neither
    ASSERT_TRUE(replaced(pool, victim));
    EXPECT_EQ(pool.stats().restarts, ++deaths);
    EXPECT_EQ(pool.submit(twice, 2).get_for(20s), 4);
  }
  EXPECT_EQ(pool.stats().failed, 0U);
}

void finalize(how h, const std::string& begun) {
  add_to_tally(begun);
  strike(h);
}

// At shutdown, and where workers are replaced: the results are there, and the pool ends.
TEST_P(worker_life_test, a_finalizer_that_fails_concerns_no_task) {
  for (const how h : all_hows) {
    if (h == how::hang) continue;  // the next test
    SCOPED_TRACE(static_cast<int>(h));
    const tally begun;
    pool_options o = options(1);
    o.finalizer = partial(finalize, h, begun.path());
    o.max_tasks_per_child = 2;
    process_pool_executor pool(std::move(o));
    std::vector<future<int>> futures;
    for (int i = 0; i < 5; ++i) futures.push_back(pool.submit(twice, i));
    for (int i = 0; i < 5; ++i) EXPECT_EQ(futures[static_cast<std::size_t>(i)].get_for(20s), 2 * i);
    ASSERT_TRUE(eventually([&] { return begun.count() == 2; }));
    pool.shutdown();
    EXPECT_EQ(begun.count(), 3) << "two were replaced, and the last one has one, too";
    EXPECT_EQ(pool.stats().failed, 0U);
  }
}

TEST_P(worker_life_test, a_finalizer_that_hangs_can_be_ended) {
  for (const int way : {0, 1, 2}) {
    SCOPED_TRACE(way);
    const tally begun;
    pool_options o = options(2);
    o.finalizer = partial(finalize, how::hang, begun.path());
    process_pool_executor pool(std::move(o));
    future<int> f = pool.submit(twice, 1);
    pool.shutdown({.wait = false});
    ASSERT_TRUE(eventually([&] { return begun.count() == 2; }));
    if (way == 0) pool.kill_workers();
    if (way == 1) pool.terminate_workers();
    if (way == 2) pool.shutdown({.timeout = 10ms});
    EXPECT_EQ(f.get(), 2) << "a result outlives its worker";
  }
}

}  // namespace
