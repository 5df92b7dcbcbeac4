// map, after the map tests of CPython's executor.py and test_process_pool.py.
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <numeric>
#include <ranges>
#include <sstream>
#include <thread>

#include "support/pool_test.hpp"
#include "support/tally.hpp"

namespace {

using namespace procpool;
using namespace procpool::testing;
using namespace std::chrono_literals;

int echo(int x) { return x; }
int add(int a, int b) { return a + b; }
int fail_on_two(int x) {
  if (x == 2) throw std::out_of_range("two");
  return x;
}
int wait_and_return(const std::string& gate, int x) {
  await_tally(gate, 1);
  return x;
}

std::vector<int> numbers(int n) {
  std::vector<int> v(static_cast<std::size_t>(n));
  std::iota(v.begin(), v.end(), 0);
  return v;
}

class map_test : public pool_test {};
PROCPOOL_FOR_EACH_START_METHOD(map_test);

// test_map
TEST_P(map_test, map) {
  process_pool_executor pool(options());
  const std::vector<int> a = numbers(10), b(20, 100);
  const std::vector<int> expected{100, 101, 102, 103, 104, 105, 106, 107, 108, 109};
  EXPECT_EQ(pool.map(add, a, b).to_vector(), expected) << "zipped to the shortest";
  EXPECT_EQ(pool.map({.chunksize = 3}, add, b, a).to_vector(), expected);
  EXPECT_EQ(pool.map(echo, {3, 1, 2}).to_vector(), (std::vector<int>{3, 1, 2}));
  std::vector<int> any_order = pool.map({.ordered = false}, add, a, b).to_vector();
  std::sort(any_order.begin(), any_order.end());
  EXPECT_EQ(any_order, expected);
}

// test_map_exception, and the same inside of a chunk
TEST_P(map_test, map_exception) {
  process_pool_executor pool(options());
  for (const std::optional<std::size_t> chunk : {std::optional<std::size_t>{}, {1}, {3}}) {
    const std::vector<int> xs = numbers(5);
    auto results = pool.map({.chunksize = chunk}, fail_on_two, xs);
    auto it = results.begin();
    EXPECT_EQ(*it, 0);
    EXPECT_EQ(*++it, 1);
    EXPECT_THROW(++it, std::out_of_range);
    std::vector<int> rest;
    for (int& r : results) rest.push_back(r);
    EXPECT_EQ(rest, (std::vector<int>{3, 4}));
    EXPECT_TRUE(results.begin() == results.end()) << "ended, and stays so";
    EXPECT_TRUE(results.begin() == results.end());
  }
}

TEST_P(map_test, outcomes_do_not_throw) {
  process_pool_executor pool(options());
  std::size_t n = 0;
  for (auto& o : pool.map(fail_on_two, numbers(5)).outcomes()) {
    EXPECT_EQ(o.index(), n++);
    EXPECT_EQ(o.has_value(), o.index() != 2);
    EXPECT_EQ(o.what(), o.index() == 2 ? "two" : "");
    if (!o) {
      EXPECT_THROW(o.value(), std::out_of_range);
    }
  }
  EXPECT_EQ(n, 5U);
}

// test_map_timeout_from_callable: the task's own timeout error is an error like any other
TEST_P(map_test, map_timeout_from_callable) {
  process_pool_executor pool(options());
  const auto f = [](int x) {
    if (x == 1) throw timeout_error("of the task itself");
    return x;
  };
  for (const std::optional<duration> limit : {std::optional<duration>{}, {30s}}) {
    const std::vector<int> xs{0, 1, 2};
    auto results = pool.map({.timeout = limit}, f, xs);
    EXPECT_EQ(*results.begin(), 0);
    try {
      results.begin();
      ADD_FAILURE() << "must throw";
    } catch (const std::runtime_error& e) {
      EXPECT_STREQ(e.what(), "of the task itself");
    }
    EXPECT_EQ(*results.begin(), 2);
  }
}

// test_map_timeout
TEST_P(map_test, map_timeout) {
  process_pool_executor pool(options(2));
  for (const bool ordered : {true, false}) {
    tally gate;
    const auto f = [](int x, const std::string& path) {
      if (x == 2) await_tally(path, 1);
      return x;
    };
    const std::vector<int> xs = numbers(40);
    const std::vector<std::string> paths(40, gate.path());
    auto results = pool.map({.chunksize = 1, .timeout = 300ms, .ordered = ordered}, f, xs, paths);
    std::size_t read = 0;
    try {
      for ([[maybe_unused]] int& r : results) ++read;
      ADD_FAILURE() << "must throw";
    } catch (const timeout_error& e) {
      const std::string what = e.what();
      EXPECT_NE(what.find("did not finish in time"), std::string::npos) << what;
      const std::string which = "the first of them item " + std::to_string(read) + ";";
      EXPECT_EQ(what.find(which) != std::string::npos, ordered) << what;
    }
    EXPECT_LE(read, ordered ? 2U : 39U);
    EXPECT_TRUE(results.begin() == results.end()) << "ended";
    gate.add();
  }
}

// test_executor_map_current_future_cancel: after the timeout, what waits never runs
TEST_P(map_test, timeout_cancels_the_rest) {
  process_pool_executor pool(options(1));
  tally gate, ran;
  future<int> occupied = pool.submit(wait_and_return, gate.path(), 1);
  EXPECT_TRUE(eventually([&] { return occupied.running(); }));
  const std::vector<std::string> paths(3, ran.path());
  auto results = pool.map(
      {.chunksize = 1, .timeout = 0s},
      [](const std::string& p) {
        add_to_tally(p);
        return 0;
      },
      paths);
  EXPECT_THROW(results.begin(), timeout_error);
  gate.add();
  pool.shutdown();
  EXPECT_EQ(ran.count(), 0);
}

// differs: Python has no way to end an item that runs.
TEST_P(map_test, items_that_hang_can_be_killed) {
  process_pool_executor pool(options(1));
  for (const std::size_t chunksize : {1U, 3U}) {
    tally begun;
    const std::vector<std::string> paths(6, begun.path());
    auto results = pool.map(
        {.chunksize = chunksize, .timeout = 300ms},
        [](const std::string& p) -> int {
          add_to_tally(p);
          for (;;) pause();
        },
        paths);
    const std::string which =
        chunksize == 1 ? "the first of them item 0;" : "the first of them one of the items 0 to 2;";
    try {
      results.begin();
      ADD_FAILURE() << "must throw";
    } catch (const timeout_error& e) {
      EXPECT_NE(std::string(e.what()).find("6 items are left, " + which), std::string::npos)
          << e.what();
    }
    EXPECT_TRUE(eventually([&] { return begun.count() == 1; }));
    results.cancel(cancel_mode::kill_running);
    EXPECT_EQ(pool.submit(echo, 4).get(), 4) << "its worker was replaced";
    EXPECT_EQ(begun.count(), 1) << "nothing runs in its place";
  }
}

TEST_P(map_test, stages_that_hang_can_be_killed) {
  process_pool_executor pool(options(1));
  tally begun;
  auto results = pipeline(stage(pool, [](const std::string& p) -> int {
                   add_to_tally(p);
                   for (;;) pause();
                 })).run(std::vector<std::string>{begun.path()});
  EXPECT_TRUE(eventually([&] { return begun.count() == 1; }));
  results.cancel(cancel_mode::kill_running);
  EXPECT_EQ(pool.submit(echo, 4).get(), 4);
}

// test_map_close
TEST_P(map_test, map_close) {
  process_pool_executor pool(options());
  for (const std::size_t chunk : {std::size_t{1}, std::size_t{3}}) {
    const std::vector<int> xs = numbers(10);
    auto results = pool.map({.chunksize = chunk}, echo, xs);
    EXPECT_EQ(*results.begin(), 0);
    results.cancel();
    EXPECT_TRUE(results.begin() == results.end());
    results.cancel();
    EXPECT_TRUE(results.begin() == results.end());
  }
}

// differs: dropping the results cancels what has not started, whether they were read or not.
TEST_P(map_test, dropping_the_results_cancels) {
  process_pool_executor pool(options(1));
  tally gate, ran;
  future<int> occupied = pool.submit(wait_and_return, gate.path(), 1);
  EXPECT_TRUE(eventually([&] { return occupied.running(); }));
  {
    const std::vector<std::string> paths(5, ran.path());
    auto results = pool.map(
        [](const std::string& p) {
          add_to_tally(p);
          return 0;
        },
        paths);
  }
  gate.add();
  EXPECT_EQ(occupied.get(), 1);
  pool.shutdown();
  EXPECT_EQ(ran.count(), 0);
}

// test_map_buffersize_value_validation, test_map_chunksize. The type is the compiler's business.
TEST_P(map_test, map_buffersize_and_chunksize_validation) {
  process_pool_executor pool(options(1));
  const std::vector<int> xs = numbers(3);
  EXPECT_THROW((void)pool.map({.buffersize = 0}, echo, xs), std::invalid_argument);
  EXPECT_THROW((void)pool.map({.chunksize = 0}, echo, xs), std::invalid_argument);
}

// test_map_buffersize, test_map_buffersize_on_multiple_iterables, test_map_chunksize
TEST_P(map_test, map_buffersize_and_chunksize) {
  process_pool_executor pool(options());
  const std::vector<int> xs = numbers(40);
  std::vector<int> twice(40);
  std::transform(xs.begin(), xs.end(), twice.begin(), [](int x) { return 2 * x; });
  for (const std::size_t buffer : {1U, 2U, 40U, 80U}) {
    EXPECT_EQ(pool.map({.buffersize = buffer}, echo, xs).to_vector(), xs);
    EXPECT_EQ(pool.map({.buffersize = buffer}, add, xs, xs).to_vector(), twice);
    EXPECT_EQ(pool.map({.chunksize = 6, .buffersize = buffer}, add, xs, xs).to_vector(), twice);
  }
  for (const std::size_t chunk : {6U, 40U, 50U}) {
    EXPECT_EQ(pool.map({.chunksize = chunk}, echo, xs).to_vector(), xs);
  }
}

// test_map_buffersize_on_infinite_iterable, _on_multiple_infinite_iterables
TEST_P(map_test, map_on_infinite_iterables) {
  process_pool_executor pool(options());
  for (const std::optional<std::size_t> buffer : {std::optional<std::size_t>{}, {1}, {5}}) {
    auto results =
        pool.map({.buffersize = buffer}, add, std::views::iota(0), std::views::iota(100));
    EXPECT_EQ(results.total(), std::nullopt);
    int expected = 100;
    for (int& r : results) {
      EXPECT_EQ(r, expected);
      if ((expected += 2) > 300) break;
    }
  }
}

// test_map_buffersize_on_empty_iterable, _without_iterable (that one does not compile)
TEST_P(map_test, map_on_empty_iterables) {
  process_pool_executor pool(options(1));
  const std::vector<int> none, some = numbers(3);
  for (const std::optional<std::size_t> buffer : {std::optional<std::size_t>{}, {1}}) {
    auto results = pool.map({.buffersize = buffer}, echo, none);
    EXPECT_TRUE(results.begin() == results.end());
    EXPECT_EQ(pool.map({.buffersize = buffer}, add, some, none).to_vector().size(), 0U);
  }
  pool.for_each([](int) {}, none);
}

// test_map_buffersize_when_buffer_is_full: exactly so many are taken from the source
TEST_P(map_test, map_buffersize_when_buffer_is_full) {
  process_pool_executor pool(options(2));
  for (const std::size_t buffer : {std::size_t{1}, std::size_t{2}, std::size_t{7}}) {
    std::size_t pulled = 0;
    auto results =
        pool.map({.buffersize = buffer}, echo,
                 generate([&]() -> std::optional<int> { return static_cast<int>(pulled++); }));
    EXPECT_EQ(pulled, buffer);
    std::size_t read = 0;
    for ([[maybe_unused]] int& r : results) {
      ++read;
      // What is being read has been taken out of the buffer.
      EXPECT_LE(pulled, read + buffer);
      if (read == 20) break;
    }
  }
}

// Unread input is not needed for results that are ready: a source that blocks, or prompts.
TEST_P(map_test, a_map_reads_no_more_input_than_it_needs) {
  process_pool_executor pool(options(1));
  std::istringstream lines("1 2 3 4 5 6");
  auto results = pool.map({.chunksize = 1, .buffersize = 2}, echo, std::views::istream<int>(lines));
  EXPECT_EQ(*results.begin(), 1);
  EXPECT_LE(lines.tellg(), 5) << "1 read, 2 and 3 in the buffer";
  EXPECT_EQ(results.to_vector(), (std::vector<int>{2, 3, 4, 5, 6}));
}

// test_free_reference: the range keeps no result that was read, and gives its memory back
TEST_P(map_test, free_reference) {
  process_pool_executor pool(options(2));
  std::size_t bytes = 0;
  for (std::string& s : pool.map([](int n) { return std::string(1 << 20, static_cast<char>(n)); },
                                 std::views::iota(0, 200))) {
    const std::string mine = std::move(s);
    bytes += mine.size();
  }
  EXPECT_EQ(bytes, std::size_t{200} << 20U);
}

// Without reading a single result, work starts.
TEST_P(map_test, map_submits_without_iteration) {
  process_pool_executor pool(options(1));
  tally ran;
  const std::vector<std::string> paths(3, ran.path());
  auto results = pool.map(
      [](const std::string& p) {
        add_to_tally(p);
        return 0;
      },
      paths);
  EXPECT_TRUE(eventually([&] { return ran.count() == 3; }));
  EXPECT_EQ(results.to_vector().size(), 3U);
}

// test_del_shutdown, test_shutdown_no_wait: what was submitted can be read after the executor's end
TEST_P(map_test, results_outlive_the_executor) {
  const std::vector<int> xs = numbers(4);
  auto pool = std::make_unique<process_pool_executor>(options());
  auto results = pool->map({.chunksize = 1}, echo, xs);
  pool.reset();
  EXPECT_EQ(results.to_vector(), xs);
}

TEST_P(map_test, input_that_was_not_submitted_at_shutdown) {
  process_pool_executor pool(options());
  auto results = pool.map({.buffersize = 3}, echo, std::views::iota(0));
  pool.shutdown();
  std::vector<int> read;
  try {
    for (int& r : results) read.push_back(r);
    ADD_FAILURE() << "must throw";
  } catch (const shutdown_error& e) {
    EXPECT_NE(std::string(e.what()).find("shut down"), std::string::npos);
  }
  EXPECT_EQ(read, (std::vector<int>{0, 1, 2}));
  EXPECT_TRUE(results.begin() == results.end());
  EXPECT_THROW((void)pool.map(echo, std::views::iota(0)), shutdown_error);
}

// A crash in a chunk concerns one item; retries concern one item, too.
TEST_P(map_test, a_crash_in_a_chunk) {
  process_pool_executor pool(options(2));
  tally attempts;
  const auto f = [](int x, const std::string& path) {
    if (x == 7) {
      add_to_tally(path);
      std::_Exit(5);
    }
    return x;
  };
  const std::vector<std::string> paths(20, attempts.path());
  int values = 0;
  for (auto& o :
       pool.map({.chunksize = 10, .task = {.retries = 2, .label = "seven"}}, f, numbers(20), paths)
           .outcomes()) {
    if (o) {
      ++values;
      continue;
    }
    EXPECT_EQ(o.index(), 7U);
    try {
      o.value();
    } catch (const worker_crashed& e) {
      EXPECT_EQ(e.exit_code(), 5);
      EXPECT_EQ(e.attempt(), 3);
      EXPECT_EQ(e.label(), "seven");
    }
  }
  EXPECT_EQ(values, 19);
  EXPECT_EQ(attempts.count(), 3);
}

TEST_P(map_test, for_each_runs_all_and_throws_the_first) {
  process_pool_executor pool(options());
  tally ran;
  const auto f = [](int x, const std::string& p) {
    add_to_tally(p);
    if (x % 10 == 3) throw std::out_of_range(std::to_string(x));
  };
  const std::vector<std::string> paths(40, ran.path());
  try {
    pool.for_each(f, numbers(40), paths);
    ADD_FAILURE() << "must throw";
  } catch (const std::out_of_range& e) {
    EXPECT_STREQ(e.what(), "3");
  }
  EXPECT_EQ(ran.count(), 40);
}

// Recommended: a long input with a small footprint; many more items than slots.
TEST_P(map_test, half_a_million_items) {
  process_pool_executor pool(options());
  long long sum = 0;
  for (const long long r :
       pool.map([](long long x) { return 2 * x; }, std::views::iota(0LL, 500'000LL))) {
    sum += r;
  }
  EXPECT_EQ(sum, 500'000LL * 499'999);
}

}  // namespace
