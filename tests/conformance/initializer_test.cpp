// What runs in a worker before its first task: the behaviours that CPython's
// test_concurrent_futures/test_init.py asks for. A test is named after the one it answers, without
// "test_" and with the class that it stands in where several share a name. Where procpool differs
// on purpose, a comment says so (docs/differences.md lists them all).
#include <unistd.h>

#include <algorithm>

#include "conformance/meeting_point.hpp"

namespace {

using namespace procpool;
using namespace procpool::testing;

std::string state_of_worker = "uninitialized";

std::string state_behind(const std::string& gate) {
  wait_for(gate);
  return state_of_worker;
}

class initializer_test : public pool_test {
 protected:
  template <class F, class... Args>
  pool_options initialized_by(int workers, F f, Args... args) const {
    pool_options o = options(workers);
    o.initializer = invocation(partial(f, args...));
    return o;
  }
};
PROCPOOL_FOR_EACH_START_METHOD(initializer_test);

// Submits until the pool says why it is broken.
std::string why_broken(process_pool_executor& pool) {
  std::string why;
  EXPECT_TRUE(eventually([&] {
    try {
      pool.submit(own_pid).wait();
    } catch (const broken_process_pool& e) {
      why = e.what();
    }
    return !why.empty();
  }));
  return why;
}

TEST_P(initializer_test, initializer) {
  const meeting_point at;
  process_pool_executor pool(initialized_by(
      3,
      [](const std::string& value, const std::string& runs) {
        state_of_worker = value;
        append_line(runs, value);
      },
      std::string("initialized"), at("runs")));
  const opens_at_exit open(at("gate"));
  std::vector<future<std::string>> futures;
  for (int i = 0; i < 9; ++i) futures.push_back(pool.submit(state_behind, at("gate")));
  EXPECT_TRUE(eventually([&] { return pool.stats().running == 3; }));
  touch(at("gate"));
  for (auto& f : futures) EXPECT_EQ(f.get(), "initialized");
  EXPECT_EQ(count_lines(at("runs")), 3);
  EXPECT_EQ(state_of_worker, "uninitialized");
}

// A worker that takes the place of a dead worker runs it, too.
TEST_P(initializer_test, initializer_of_a_replacement) {
  process_pool_executor pool(initialized_by(
      1, [](const std::string& value) { state_of_worker = value; }, std::string("initialized")));
  EXPECT_THROW(pool.submit([] { _exit(1); }).get(), worker_crashed);
  EXPECT_EQ(pool.submit([] { return state_of_worker; }).get(), "initialized");
}

// differs: the initializer's own error is in what the futures and submit throw; Python loses it and
// leaves a line in the log.
TEST_P(initializer_test, failing_initializer) {
  const meeting_point at;
  process_pool_executor pool(initialized_by(
      2,
      [](const std::string& gate) {
        wait_for(gate);
        throw std::runtime_error("error in initializer 4711");
      },
      at("gate")));
  auto f = pool.submit(own_pid);
  touch(at("gate"));
  try {
    f.get();
    ADD_FAILURE() << "no worker is initialized";
  } catch (const broken_process_pool& e) {
    EXPECT_NE(std::string(e.what()).find("error in initializer 4711"), std::string::npos)
        << e.what();
  }
  EXPECT_NE(why_broken(pool).find("error in initializer 4711"), std::string::npos);
  EXPECT_THROW((void)pool.submit(own_pid), broken_process_pool);
  EXPECT_THROW((void)pool.map([](int x) { return x; }, std::vector{1}), broken_process_pool);
}

// differs: one death is not taken for a failure of the initializer: the worker is started again, a
// few times; Python breaks the pool at the first.
TEST_P(initializer_test, dying_initializer) {
  const meeting_point at;
  process_pool_executor pool(initialized_by(
      1,
      [](const std::string& runs) {
        append_line(runs, "run");
        if (count_lines(runs) == 1) _exit(9);
      },
      at("runs")));
  EXPECT_GT(pool.submit(own_pid).get(), 0);
  EXPECT_EQ(count_lines(at("runs")), 2);

  process_pool_executor hopeless(initialized_by(1, [] { _exit(9); }));
  EXPECT_NE(why_broken(hopeless).find("exit code 9"), std::string::npos);
}

// test_spawn and test_forkserver of FailingInitializerResourcesTest (gh-104090): the check after
// each test looks for what is left.
TEST_P(initializer_test, failing_initializer_leaves_nothing) {
  process_pool_executor pool(initialized_by(2, [] { throw std::runtime_error("failed"); }));
  EXPECT_NE(why_broken(pool).find("failed"), std::string::npos);
  pool.shutdown();
}

// differs: Python has no counterpart of the initializer.
TEST_P(initializer_test, finalizer) {
  const meeting_point at;
  pool_options o = options(3);
  o.finalizer = invocation(partial(append_line, at("ends"), std::string("end")));
  process_pool_executor pool(std::move(o));
  EXPECT_GT(pool.submit(own_pid).get(), 0);
  EXPECT_FALSE(exists(at("ends")));
  pool.shutdown();
  EXPECT_EQ(count_lines(at("ends")), 3);
}

bool all_idle(const process_pool_executor& pool) {
  return std::ranges::all_of(pool.stats().workers,
                             [](const worker_stats& w) { return w.state == worker_state::idle; });
}

// A worker that has done its share ends in order, too, and so does the worker that takes its place.
TEST_P(initializer_test, finalizer_at_max_tasks_per_child) {
  const meeting_point at;
  pool_options o = options(1);
  o.max_tasks_per_child = 2;
  o.finalizer =
      invocation(partial([](const std::string& path) { append_line(path, "end"); }, at("ends")));
  process_pool_executor pool(std::move(o));
  for (int i = 0; i < 6; ++i) {
    EXPECT_GT(pool.submit(own_pid).get(), 0);
    // Each of the three has ended before the next one runs a task.
    EXPECT_GE(count_lines(at("ends")), i / 2);
  }
  EXPECT_TRUE(eventually([&] { return count_lines(at("ends")) == 3; }));
  // The fourth has run nothing.
  EXPECT_TRUE(eventually([&] { return pool.stats().restarts == 3 && all_idle(pool); }));
  pool.shutdown();
  EXPECT_EQ(count_lines(at("ends")), 4);
}

TEST_P(initializer_test, a_killed_worker_runs_no_finalizer) {
  const meeting_point at;
  pool_options o = options(2);
  o.finalizer = invocation(partial(append_line, at("ends"), std::string("end")));
  {
    process_pool_executor pool(o);
    EXPECT_THROW(pool.submit([] { raise(SIGKILL); }).get(), worker_crashed);
    EXPECT_THROW(pool.submit([] { _exit(0); }).get(), worker_crashed);
    // A worker that still starts is not there to be killed: it may end in order.
    EXPECT_TRUE(eventually([&] { return pool.stats().restarts == 2 && all_idle(pool); }));
    pool.kill_workers();
  }
  {
    process_pool_executor pool(o);
    EXPECT_TRUE(eventually([&] { return all_idle(pool); }));
    pool.terminate_workers();
  }
  EXPECT_FALSE(exists(at("ends")));
  {
    process_pool_executor pool(o);
    EXPECT_THROW(pool.submit([] { raise(SIGKILL); }).get(), worker_crashed);
    EXPECT_TRUE(eventually([&] { return pool.stats().restarts == 1 && all_idle(pool); }));
  }
  // The two that were alive in the end.
  EXPECT_EQ(count_lines(at("ends")), 2);
}

}  // namespace
