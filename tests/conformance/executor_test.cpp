// What any executor does: the behaviours that CPython's test_concurrent_futures/executor.py asks
// for. A test is named after the one it answers, without "test_"; names that have no counterpart
// there stand for what its users asked for. Where procpool differs on purpose, a comment in the
// test says so (docs/differences.md lists them all).
#include <algorithm>
#include <limits>
#include <numeric>
#include <ranges>

#include "conformance/meeting_point.hpp"

namespace {

using namespace procpool;
using namespace procpool::testing;
using namespace std::chrono_literals;

long power(long base, int exponent) {
  long result = 1;
  for (int i = 0; i < exponent; ++i) result *= base;
  return result;
}

int divide(int a, int b) {
  if (b == 0) throw std::domain_error("division by zero");
  return a / b;
}

int twice(int x) { return 2 * x; }

int times_out_at_1(int x) {
  if (x == 1) throw timeout_error("from the task");
  return x;
}

// Waits at the gate when it has a name.
int through(std::string gate) {
  if (!gate.empty()) wait_for(gate);
  return 1;
}

class executor_test : public pool_test {};
PROCPOOL_FOR_EACH_START_METHOD(executor_test);

// differs: functions of C++ have no keyword arguments: test_submit_keyword has no counterpart here,
// and a call that does not fit its function does not compile.
TEST_P(executor_test, submit) {
  process_pool_executor pool(options());
  EXPECT_EQ(pool.submit(power, 2, 8).get(), 256);
}

TEST_P(executor_test, map) {
  process_pool_executor pool(options());
  std::vector<long> bases(10);
  std::iota(bases.begin(), bases.end(), 0);
  const std::vector<int> exponents{0, 1, 2, 3, 4, 5, 6, 7, 8, 9};
  std::vector<long> expected;
  for (std::size_t i = 0; i < 10; ++i) expected.push_back(power(bases[i], exponents[i]));
  EXPECT_EQ(pool.map(power, bases, exponents).to_vector(), expected);
  EXPECT_EQ(pool.map({.chunksize = 3}, power, bases, exponents).to_vector(), expected);
}

// As Python since 3.16: the error of an item throws when it is its turn, and iteration continues.
// differs: before 3.16 the first error ended the map and cancelled the rest; here each item stands
// for itself, so that one bad input does not cost the results of the others.
TEST_P(executor_test, map_exception) {
  process_pool_executor pool(options());
  for (const std::size_t chunksize : {std::size_t{1}, std::size_t{3}}) {
    auto results = pool.map({.chunksize = chunksize}, divide, std::vector{6, 6, 6, 6},
                            std::vector{2, 3, 0, 6});
    auto it = results.begin();
    EXPECT_EQ(*it, 3);
    ++it;
    EXPECT_EQ(*it, 2);
    EXPECT_THROW(++it, std::domain_error);
    it = results.begin();
    ASSERT_NE(it, results.end());
    EXPECT_EQ(*it, 1);
    ++it;
    EXPECT_EQ(it, results.end());
    EXPECT_EQ(results.begin(), results.end());
  }
}

TEST_P(executor_test, map_timeout_from_callable) {
  process_pool_executor pool(options());
  for (const std::optional<duration> timeout : {std::optional<duration>{}, {duration(30)}}) {
    std::vector<int> values;
    int failed = 0;
    auto results = pool.map({.timeout = timeout}, times_out_at_1, std::vector{0, 1, 2});
    for (const auto& o : results.outcomes()) {
      if (o) {
        values.push_back(*o);
      } else {
        EXPECT_EQ(o.what(), "from the task");
        ++failed;
      }
    }
    EXPECT_EQ(values, (std::vector{0, 2}));
    EXPECT_EQ(failed, 1);
  }
}

TEST_P(executor_test, map_timeout) {
  const meeting_point at;
  process_pool_executor pool(options(3));
  const opens_at_exit open(at("gate"));
  auto results =
      pool.map({.timeout = 300ms}, through, std::vector<std::string>{"", "", at("gate")});
  std::size_t n = 0;
  EXPECT_THROW(
      {
        for ([[maybe_unused]] const int r : results) ++n;
      },
      timeout_error);
  EXPECT_LE(n, 2U);
  EXPECT_EQ(results.begin(), results.end());
}

// differs: close() of Python's generator is called cancel() here.
TEST_P(executor_test, map_close) {
  process_pool_executor pool(options());
  for (const std::size_t chunksize : {std::size_t{1}, std::size_t{2}}) {
    auto results = pool.map({.chunksize = chunksize}, twice, std::vector{1, 2, 3, 4, 5});
    EXPECT_EQ(*results.begin(), 2);
    results.cancel();
    EXPECT_EQ(results.begin(), results.end());
    results.cancel();
    EXPECT_EQ(results.begin(), results.end());
  }
}

TEST_P(executor_test, map_buffersize_value_validation) {
  process_pool_executor pool(options());
  EXPECT_THROW((void)pool.map({.buffersize = 0}, twice, std::vector{1}), std::invalid_argument);
  EXPECT_THROW((void)pool.map({.chunksize = 0}, twice, std::vector{1}), std::invalid_argument);
}

TEST_P(executor_test, map_buffersize) {
  process_pool_executor pool(options());
  const std::vector<int> xs{1, 2, 3, 4};
  for (const std::size_t n : {std::size_t{1}, std::size_t{2}, xs.size(), 2 * xs.size()}) {
    EXPECT_EQ(pool.map({.buffersize = n}, twice, xs).to_vector(), (std::vector{2, 4, 6, 8}));
  }
}

TEST_P(executor_test, map_buffersize_on_multiple_iterables) {
  process_pool_executor pool(options());
  const std::vector<long> bases{1, 2, 3, 4};
  for (const std::size_t n : {std::size_t{1}, std::size_t{2}, bases.size(), 2 * bases.size()}) {
    EXPECT_EQ(pool.map({.buffersize = n}, power, bases, std::vector{3, 2, 1, 0}).to_vector(),
              (std::vector<long>{1, 4, 3, 1}));
  }
}

// differs: Python needs buffersize for this, and reads all of its input at the call without; here
// a map is bounded by itself.
TEST_P(executor_test, map_buffersize_on_infinite_iterable) {
  process_pool_executor pool(options());
  for (const map_options& o : {map_options{.buffersize = 2}, map_options{}}) {
    auto results = pool.map(o, twice, std::views::iota(0));
    int expected = 0;
    for (const int r : results) {
      EXPECT_EQ(r, expected);
      expected += 2;
      if (expected == 200) break;
    }
    EXPECT_EQ(expected, 200);
  }
}

TEST_P(executor_test, map_buffersize_on_multiple_infinite_iterables) {
  process_pool_executor pool(options());
  auto results = pool.map({.buffersize = 2}, divide, std::views::iota(10), std::views::iota(1));
  auto it = results.begin();
  EXPECT_EQ(*it, 10);
  EXPECT_EQ(*++it, 5);
  EXPECT_EQ(*++it, 4);
}

TEST_P(executor_test, map_buffersize_on_empty_iterable) {
  process_pool_executor pool(options());
  auto results = pool.map({.buffersize = 2}, twice, std::vector<int>{});
  EXPECT_EQ(results.begin(), results.end());
  auto zipped = pool.map({.buffersize = 2}, divide, std::vector<int>{}, std::views::iota(0));
  EXPECT_EQ(zipped.begin(), zipped.end());
}

// Exactly `buffersize` items are taken from the source, not one more: a source may block.
TEST_P(executor_test, map_buffersize_when_buffer_is_full) {
  process_pool_executor pool(options());
  int pulled = 0;
  auto source = generate([&pulled]() -> std::optional<int> { return pulled++; });
  auto results = pool.map({.buffersize = 4}, twice, std::move(source));
  EXPECT_EQ(pulled, 4);
  for (int i = 0; i < 10; ++i) {
    EXPECT_EQ(*results.begin(), 2 * i);
    EXPECT_LE(pulled, 4 + i + 1);
  }
}

// CPython's call queue once filled up with the tasks while it was shut down.
TEST_P(executor_test, shutdown_race_issue12456) {
  process_pool_executor pool(options());
  std::vector<future<int>> futures;
  for (int i = 0; i < 3; ++i) futures.push_back(pool.submit(twice, i));
  pool.shutdown();
  for (auto& f : futures) EXPECT_TRUE(f.done());
}

// differs: arguments are encoded by submit, so that later changes do not show and nothing of the
// caller is kept for a moment longer; Python pickles them later, in another thread.
TEST_P(executor_test, no_stale_references) {
  process_pool_executor pool(options(1));
  const auto argument = std::make_shared<int>(21);
  auto f = pool.submit([](std::shared_ptr<int> p) { return 2 * *p; }, argument);
  EXPECT_EQ(argument.use_count(), 1);
  *argument = 0;
  EXPECT_EQ(f.get(), 42);
}

TEST_P(executor_test, max_workers_negative) {
  for (const int n : {0, -1, 4097, std::numeric_limits<int>::max()}) {
    try {
      const process_pool_executor pool(options(n));
      ADD_FAILURE() << n << " workers";
    } catch (const std::invalid_argument& e) {
      EXPECT_NE(std::string(e.what()).find("max_workers"), std::string::npos) << e.what();
    }
  }
}

TEST_P(executor_test, free_reference) {
  process_pool_executor pool(options());
  auto results = pool.map([](int x) { return std::make_shared<int>(x); }, std::vector{0, 1, 2});
  std::weak_ptr<int> before;
  int n = 0;
  for (auto& r : results) {
    EXPECT_TRUE(before.expired());
    EXPECT_EQ(r.use_count(), 1);
    EXPECT_EQ(*r, n++);
    before = r;
  }
  EXPECT_TRUE(before.expired());
  EXPECT_EQ(n, 3);
}

// Python once lost exceptions that are false as a condition; here there are exceptions without a
// text, exceptions that are no std::exception, and null pointers as values.
TEST_P(executor_test, swallows_falsey_exceptions) {
  process_pool_executor pool(options());
  EXPECT_THROW(pool.submit([] { throw std::runtime_error(""); }).get(), std::runtime_error);
  EXPECT_THROW(pool.submit([] { throw std::exception(); }).get(), std::exception);
  EXPECT_THROW(pool.submit([] { throw 0; }).get(), remote_error);
  EXPECT_THROW(pool.submit([] { throw static_cast<const char*>(nullptr); }).get(), remote_error);
  EXPECT_THROW(pool.submit([]() -> int { throw std::exception_ptr(); }).get(), remote_error);
}

// differs: while an exception passes, the destructor cancels what has not started; Python runs all
// of it first, which keeps the user waiting for results that are never read.
TEST_P(executor_test, an_exception_that_leaves_the_scope_cancels) {
  const meeting_point at;
  std::vector<future<int>> futures;
  try {
    process_pool_executor pool(options(1));
    futures.push_back(pool.submit(between_gates, at("begun"), at("gate"), at("ended")));
    EXPECT_TRUE(eventually([&] { return exists(at("begun")); }));
    for (int i = 0; i < 20; ++i) futures.push_back(pool.submit(twice, i));
    futures.back().on_done([gate = at("gate")](const future<int>&) { touch(gate); });
    throw std::logic_error("leaves the scope");
  } catch (const std::logic_error&) {
  }
  EXPECT_EQ(futures[0].get(), 1);
  for (std::size_t i = 1; i < futures.size(); ++i) EXPECT_TRUE(futures[i].cancelled());
}

}  // namespace
