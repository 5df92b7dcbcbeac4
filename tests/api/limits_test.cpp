// task_options::time_limit: what is over its limit is killed, and nothing else is.
#include <signal.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <limits>
#include <mutex>
#include <numeric>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "support/pool_test.hpp"
#include "support/tally.hpp"

namespace {

using namespace procpool;
using namespace procpool::testing;
using namespace std::chrono_literals;

class limits_test : public pool_test {};
PROCPOOL_FOR_EACH_START_METHOD(limits_test);

// Far more than a quick task takes, also on a busy machine.
constexpr duration plenty = 1h;
constexpr duration little = 20ms;  // of tasks that hang
// Where some tasks hang, and others are quick, but perhaps not on a busy machine.
constexpr duration enough = 1s;

int echo(int x) { return x; }
pid_t worker_pid() { return getpid(); }
int hang() {
  for (;;) pause();
}
int spin() {
  for (volatile int i = 0;;) i = i + 1;
}
int stop_itself() {
  raise(SIGSTOP);
  return hang();
}
// The items below 0 hang.
int hang_if_negative(int x) { return x < 0 ? hang() : x; }
// Hangs in its first `times` runs.
int hang_at_first(const std::string& runs, int times, int result) {
  add_to_tally(runs);
  return static_cast<int>(std::filesystem::file_size(runs)) <= times ? hang() : result;
}
int throw_after_counting(const std::string& runs) {
  add_to_tally(runs);
  throw std::out_of_range("an exception");
}
int add(int a, int b) { return a + b; }

// Its decoder does not return.
struct endless {
  explicit endless(int v) : value(v) {}
  int value;
};
int value_of(const endless& e) { return e.value; }

}  // namespace

template <>
struct procpool::codec<endless> {
  static int to_wire(const endless& e) { return e.value; }
  static endless from_wire(int v) {
    hang();
    return endless(v);
  }
};

namespace {

template <class Call>
std::optional<task_timeout> timeout_of(Call call) {
  try {
    call();
  } catch (const task_timeout& e) {
    return e;
  } catch (const std::exception& e) {
    ADD_FAILURE() << e.what();
    return std::nullopt;
  }
  ADD_FAILURE() << "no timeout";
  return std::nullopt;
}

void expect_in(const std::string& what, const std::string& part) {
  EXPECT_NE(what.find(part), std::string::npos) << what << "\nlacks: " << part;
}

TEST_P(limits_test, a_task_over_its_time_limit_is_killed) {
  process_pool_executor pool(options(1));
  const pid_t first = pool.submit(worker_pid).get();
  for (int (*const task)() : {&hang, &spin}) {
    auto f = pool.submit({.time_limit = little, .label = "slow"}, task);
    const auto e = timeout_of([&] { f.get(); });
    ASSERT_TRUE(e);
    EXPECT_EQ(e->limit(), little);
    EXPECT_EQ(e->label(), "slow");
    EXPECT_EQ(e->signal(), SIGKILL);
    EXPECT_EQ(e->attempt(), 1);
    EXPECT_GT(e->pid(), 0);
    EXPECT_FALSE(e->will_retry());
    expect_in(e->what(), "task 'slow'");
    expect_in(e->what(), "0.02 s");
    expect_in(e->what(), "worker " + std::to_string(e->pid()));
  }
  EXPECT_NE(pool.submit(worker_pid).get(), first);
  EXPECT_EQ(pool.submit({.time_limit = plenty}, echo, 5).get(), 5);
  EXPECT_EQ(pool.stats().failed, 2U);
}

TEST_P(limits_test, a_task_does_not_end_before_its_limit) {
  process_pool_executor pool(options(2));
  pool.submit(echo, 1).get();
  for (int i = 0; i < 5; ++i) {
    const auto begin = std::chrono::steady_clock::now();
    auto f = pool.submit({.time_limit = 50ms}, hang);
    EXPECT_TRUE(timeout_of([&] { f.get(); }));
    EXPECT_GE(std::chrono::steady_clock::now() - begin, 50ms);
  }
}

TEST_P(limits_test, the_limit_counts_from_the_start_not_from_submit) {
  constexpr duration limit = 2s;
  process_pool_executor pool(options(1));
  const tally begun, gate;
  auto first = pool.submit(arrive_and_wait, begun.path(), gate.path(), 1);
  EXPECT_TRUE(eventually([&] { return begun.count() == 1; }));
  std::vector<future<int>> waiting;
  for (int i = 0; i < 20; ++i) waiting.push_back(pool.submit({.time_limit = limit}, echo, i));
  const auto submitted = std::chrono::steady_clock::now();
  EXPECT_TRUE(eventually([&] { return std::chrono::steady_clock::now() - submitted > limit; }));
  gate.add();
  EXPECT_EQ(first.get(), 1);
  for (int i = 0; i < 20; ++i) EXPECT_EQ(waiting[static_cast<std::size_t>(i)].get(), i);
}

TEST_P(limits_test, a_hang_in_decoding) {
  process_pool_executor pool(options(1));
  auto f = pool.submit({.time_limit = little}, value_of, endless(1));
  EXPECT_TRUE(timeout_of([&] { f.get(); }));
  EXPECT_EQ(pool.submit(echo, 2).get(), 2);
}

TEST_P(limits_test, a_stopped_worker) {
  process_pool_executor pool(options(1));
  auto f = pool.submit({.time_limit = little}, stop_itself);
  EXPECT_TRUE(timeout_of([&] { f.get(); }));
  EXPECT_EQ(pool.submit(echo, 2).get(), 2);
}

TEST_P(limits_test, the_least_limit_falls_while_the_supervisor_sleeps) {
  process_pool_executor pool(options(3));
  const tally begun, gate;
  auto long_one =
      pool.submit({.time_limit = plenty}, arrive_and_wait, begun.path(), gate.path(), 1);
  EXPECT_TRUE(eventually([&] { return begun.count() == 1; }));
  auto minutes = pool.submit({.time_limit = 10min}, arrive_and_wait, begun.path(), gate.path(), 2);
  auto f = pool.submit({.time_limit = little}, hang);
  EXPECT_TRUE(timeout_of([&] { f.get(); }));
  gate.add();
  EXPECT_EQ(long_one.get(), 1);
  EXPECT_EQ(minutes.get(), 2);
}

TEST_P(limits_test, limits_without_end) {
  process_pool_executor pool(options(1));
  for (const double seconds : {1e12, 1e300, std::numeric_limits<double>::infinity()}) {
    EXPECT_EQ(pool.submit({.time_limit = duration(seconds)}, echo, 3).get(), 3);
  }
}

// Each item has its own limit and its own error, in its place; a chunksize does not change that.
TEST_P(limits_test, of_a_map_only_the_item_fails) {
  process_pool_executor pool(options(2));
  std::vector<int> xs(40);
  std::iota(xs.begin(), xs.end(), 0);
  xs[3] = xs[17] = -1;
  for (const std::optional<std::size_t> chunksize : {std::optional<std::size_t>(), {8}}) {
    std::size_t read = 0;
    for (auto& r :
         pool.map({.chunksize = chunksize, .task = {.time_limit = enough, .label = "part"}},
                  hang_if_negative, xs)
             .outcomes()) {
      const std::size_t i = r.index();
      EXPECT_EQ(i, read++);
      if (xs[i] >= 0) {
        ASSERT_TRUE(r) << i;
        EXPECT_EQ(r.value(), xs[i]);
      } else {
        const auto e = timeout_of([&] { static_cast<void>(r.value()); });
        ASSERT_TRUE(e);
        EXPECT_EQ(e->label(), "part");
      }
    }
    EXPECT_EQ(read, xs.size());
  }
}

TEST_P(limits_test, for_each_throws_after_all_items) {
  process_pool_executor pool(options(2));
  const tally done;
  const auto step = [](int x, const std::string& path) {
    hang_if_negative(x);
    add_to_tally(path);
  };
  const std::vector xs{1, -1, 2, 3};
  EXPECT_TRUE(timeout_of([&] {
    pool.for_each({.task = {.time_limit = enough}}, step, xs,
                  std::vector<std::string>(xs.size(), done.path()));
  }));
  EXPECT_EQ(done.count(), 3);
}

TEST_P(limits_test, of_reductions_and_pipelines) {
  process_pool_executor pool(options(2));
  const map_options limited{.task = {.time_limit = enough}};
  const map_options generous{.task = {.time_limit = plenty}};
  EXPECT_EQ(pool.map_reduce(generous, echo, add, std::vector{1, 2, 3, 4, 5}), 15);
  EXPECT_TRUE(timeout_of(
      [&] { EXPECT_EQ(pool.map_reduce(limited, hang_if_negative, add, std::vector{1, -1}), 0); }));
  auto p = pipeline(stage(pool, task_options{.time_limit = enough}, hang_if_negative),
                    stage(pool, echo));
  std::size_t values = 0, timeouts = 0;
  for (auto& r : p.run(std::vector{1, -1, 2}).outcomes()) {
    ++(r ? values : timeouts);
    if (!r) {
      EXPECT_TRUE(timeout_of([&] { static_cast<void>(r.value()); }));
    }
  }
  EXPECT_EQ(values, 2U);
  EXPECT_EQ(timeouts, 1U);
}

TEST_P(limits_test, retries_after_a_limit) {
  std::mutex mutex;
  std::vector<std::pair<int, bool>> told;
  pool_options o = options(1);
  o.on_worker_death = [&](const task_killed& t) {
    const std::lock_guard lock(mutex);
    EXPECT_NE(dynamic_cast<const task_timeout*>(&t), nullptr);
    told.emplace_back(t.attempt(), t.will_retry());
  };
  const tally runs, more_runs;
  process_pool_executor pool(std::move(o));
  const task_options twice{.time_limit = enough, .retries = 2};
  EXPECT_EQ(pool.submit(twice, hang_at_first, runs.path(), 2, 7).get(), 7);
  EXPECT_EQ(runs.count(), 3);
  const auto e =
      timeout_of([&] { pool.submit(twice, hang_at_first, more_runs.path(), 9, 7).get(); });
  ASSERT_TRUE(e);
  EXPECT_EQ(e->attempt(), 3);
  expect_in(e->what(), "attempt 3");
  EXPECT_EQ(more_runs.count(), 3);
  using entries = std::vector<std::pair<int, bool>>;
  EXPECT_TRUE(eventually([&] {
    const std::lock_guard lock(mutex);
    return told == entries{{1, true}, {2, true}, {1, true}, {2, true}, {3, false}};
  }));
}

TEST_P(limits_test, an_item_is_retried_after_its_limit) {
  process_pool_executor pool(options(2));
  const tally runs, no_runs;
  int sum = 0;
  for (const int r :
       pool.map({.task = {.time_limit = enough, .retries = 1}}, hang_at_first,
                std::vector{runs.path(), no_runs.path()}, std::vector{1, 0}, std::vector{10, 20})) {
    sum += r;
  }
  EXPECT_EQ(sum, 30);
  EXPECT_EQ(runs.count(), 2);
  EXPECT_EQ(no_runs.count(), 1);
}

TEST_P(limits_test, an_exception_is_not_retried) {
  process_pool_executor pool(options(1));
  const tally runs;
  auto f = pool.submit({.time_limit = plenty, .retries = 5}, throw_after_counting, runs.path());
  EXPECT_THROW(f.get(), std::out_of_range);
  EXPECT_EQ(runs.count(), 1);
}

// A crash before the limit is a crash.
TEST_P(limits_test, a_crash_is_no_timeout) {
  process_pool_executor pool(options(1));
  auto f = pool.submit({.time_limit = plenty}, [] { raise(SIGKILL); });
  EXPECT_THROW(f.get(), worker_crashed);
}

TEST_P(limits_test, cancelling_is_no_timeout) {
  process_pool_executor pool(options(1));
  const tally begun, gate;
  auto f = pool.submit({.time_limit = plenty, .retries = 3}, arrive_and_wait, begun.path(),
                       gate.path(), 1);
  EXPECT_TRUE(eventually([&] { return begun.count() == 1; }));
  EXPECT_FALSE(f.cancel());
  EXPECT_TRUE(f.cancel(cancel_mode::kill_running));
  EXPECT_THROW(f.get(), cancelled_error);
  EXPECT_EQ(begun.count(), 1);
}

// No thread waits for these tasks; the pool's destructor returns when their limits have ended them.
TEST_P(limits_test, a_limit_without_a_future) {
  const tally begun;
  process_pool_executor pool(options(2));
  for (int i = 0; i < 4; ++i) {
    pool.submit({.time_limit = 100ms}, hang_at_first, begun.path(), 9, i).detach();
  }
}

// A task of an earlier limit leaves nothing to the next task of its slot.
TEST_P(limits_test, the_next_task_has_no_limit) {
  process_pool_executor pool(options(1));
  for (int i = 0; i < 100; ++i) {
    EXPECT_EQ(pool.submit({.time_limit = little * 1000, .retries = 1, .label = "a"}, echo, i).get(),
              i);
  }
  const tally begun, gate;
  auto f = pool.submit(arrive_and_wait, begun.path(), gate.path(), 1);
  EXPECT_TRUE(eventually([&] { return begun.count() == 1; }));
  EXPECT_EQ(f.wait_for(200ms), std::future_status::timeout);
  gate.add();
  EXPECT_EQ(f.get(), 1);
  try {
    pool.submit([] { raise(SIGKILL); }).get();
    ADD_FAILURE();
  } catch (const worker_crashed& e) {
    EXPECT_EQ(e.label(), "");
  }
}

TEST_P(limits_test, a_timeout_of_a_task_inside_a_task) {
  process_pool_executor pool(options(1));
  auto f = pool.submit([] { throw task_timeout({.label = "inner", .pid = 7, .time_limit = 2s}); });
  const auto e = timeout_of([&] { f.get(); });
  ASSERT_TRUE(e);
  EXPECT_EQ(e->limit(), 2s);
  EXPECT_EQ(e->label(), "inner");
  EXPECT_EQ(e->pid(), 7);
}

template <class Call>
void expect_refused(Call call, const std::string& part) {
  try {
    call();
    ADD_FAILURE() << "accepted";
  } catch (const std::invalid_argument& e) {
    expect_in(e.what(), part);
  }
}

TEST(limits_without_processes_test, bad_limits_and_executors_without_processes) {
  process_pool_executor pool({.max_workers = 1});
  for (const double s : {0.0, -1.0, std::numeric_limits<double>::quiet_NaN()}) {
    expect_refused([&] { pool.submit({.time_limit = duration(s)}, echo, 1).get(); },
                   "task_options::time_limit");
  }
  thread_pool_executor threads(1);
  expect_refused([&] { threads.submit({.time_limit = 1s}, echo, 1).get(); },
                 "task_options::time_limit");
  expect_refused(
      [&] { threads.for_each({.task = {.time_limit = 1s}}, [](int) {}, std::vector{1}); },
      "task_options::time_limit");
  inline_executor here;
  expect_refused([&] { here.submit({.time_limit = 1s}, echo, 1).get(); },
                 "task_options::time_limit");
}

// A program that is looked at in a debugger runs as it is, without its limits.
TEST(limits_without_processes_test, a_pool_that_runs_in_the_program_ignores_limits) {
  setenv("PROCPOOL_INLINE", "1", 1);
  process_pool_executor pool({.max_workers = 1});
  unsetenv("PROCPOOL_INLINE");
  EXPECT_EQ(pool.submit({.time_limit = 1s}, worker_pid).get(), getpid());
}

}  // namespace
