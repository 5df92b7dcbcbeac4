// shared_array as argument, as result and inside of other values; its lifetime is the business of
// shared_lifetime_test.cpp.
#include <gmock/gmock.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <map>
#include <numeric>
#include <optional>
#include <system_error>

#include "support/shared_memory.hpp"

namespace {

using namespace procpool;
using namespace procpool::testing;
using ::testing::HasSubstr;

class shared_array_test : public shared_test {};
PROCPOOL_FOR_EACH_START_METHOD(shared_array_test);

shared_array<double> counting(std::size_t n) {
  shared_array<double> a(n);
  std::iota(a.begin(), a.end(), 0.0);
  return a;
}
double sum(std::span<const double> xs) { return std::accumulate(xs.begin(), xs.end(), 0.0); }
void fill(std::span<double> xs, double v) { std::fill(xs.begin(), xs.end(), v); }
shared_array<double> same(shared_array<double> a) { return a; }

TEST_P(shared_array_test, a_span_parameter_reads_the_same_memory) {
  process_pool_executor pool(options());
  const shared_array<double> a = counting(10'000);
  EXPECT_EQ(pool.submit(sum, a).get(), 49'995'000.0);
  a[0] = 5;  // not a copy: the next task sees it
  EXPECT_EQ(pool.submit(sum, a).get(), 49'995'005.0);
  const shared_array<const double> read_only = a;
  EXPECT_EQ(pool.submit(sum, read_only).get(), 49'995'005.0);
}

TEST_P(shared_array_test, the_parent_sees_what_a_task_writes) {
  process_pool_executor pool(options());
  const shared_array<double> a(100);
  for (const double x : a) EXPECT_EQ(x, 0.0);
  pool.submit(fill, a, 2.5).get();
  EXPECT_THAT(std::vector<double>(a.begin(), a.end()), ::testing::Each(2.5));
  pool.submit([](shared_array<double> b) { b[99] = 7; }, a).get();
  EXPECT_EQ(a.back(), 7);
}

TEST_P(shared_array_test, a_task_returns_an_array_that_it_has_made) {
  process_pool_executor pool(options());
  const shared_array<double> a = pool.submit(counting, std::size_t{100'000}).get();
  ASSERT_EQ(a.size(), 100'000U);
  EXPECT_EQ(a[99'999], 99'999.0);
  EXPECT_EQ(pool.submit(sum, a).get(), 99'999.0 * 50'000);
}

TEST_P(shared_array_test, a_returned_handle_is_the_same_object) {
  process_pool_executor pool(options());
  const shared_array<double> a = counting(10);
  EXPECT_EQ(pool.submit(same, a).get(), a);
  EXPECT_EQ(pool.submit(same, a.subarray(3, 4)).get(), a.subarray(3, 4));
  EXPECT_EQ(pool.submit(same, shared_array<double>()).get().size(), 0U);
}

struct bundle {
  int number = 0;
  std::vector<shared_array<int>> arrays;
  std::optional<shared_array<const char>> text;
  std::map<std::string, shared_array<int>> by_name;
};

bundle turn(bundle b) {
  for (shared_array<int>& a : b.arrays) {
    for (int& x : a) x = -x;
  }
  b.by_name["new"] = shared_array<int>::copy_of(std::array{1, 2, 3});
  b.number = b.text ? static_cast<int>(b.text->size()) : -1;
  return b;
}

TEST_P(shared_array_test, arrays_inside_other_values) {
  process_pool_executor pool(options());
  bundle b;
  for (int i = 0; i < 3; ++i) b.arrays.push_back(shared_array<int>::copy_of(std::array{i, i + 1}));
  b.arrays.push_back(b.arrays[0]);  // twice the same
  b.text = shared_array<char>(77);
  b.by_name["first"] = b.arrays[1];
  const bundle got = pool.submit(turn, b).get();
  EXPECT_EQ(got.number, 77);
  EXPECT_EQ(b.arrays[2][1], -3);
  EXPECT_EQ(b.arrays[0][1], 1);  // turned twice
  ASSERT_EQ(got.arrays.size(), 4U);
  EXPECT_EQ(got.arrays[3], b.arrays[0]);
  EXPECT_EQ(got.by_name.at("first"), b.arrays[1]);
  EXPECT_EQ(got.by_name.at("new")[2], 3);
  EXPECT_EQ(pool.submit(turn, got).get().by_name.at("new")[1], 2);
}

TEST_P(shared_array_test, a_map_over_parts_of_an_array) {
  process_pool_executor pool(options());
  const shared_array<double> a = counting(1000);
  std::vector<shared_array<double>> parts;
  for (std::size_t i = 0; i < 1000; i += 10) parts.push_back(a.subarray(i, 10));
  double total = 0;
  for (const double part : pool.map(sum, parts)) total += part;
  EXPECT_EQ(total, 499'500.0);
}

TEST_P(shared_array_test, a_map_with_a_bound_array_and_results_that_are_arrays) {
  process_pool_executor pool(options());
  const shared_array<int> scale = shared_array<int>::copy_of(std::array{10, 20});
  const auto times = [](const shared_array<int>& s, int x) {
    shared_array<int> out(2);
    out[0] = s[0] * x;
    out[1] = s[1] * x;
    return out;
  };
  std::vector<int> xs(300);
  std::iota(xs.begin(), xs.end(), 0);
  int i = 0;
  for (const shared_array<int>& out : pool.map({.chunksize = 7}, partial(times, scale), xs)) {
    ASSERT_EQ(out[0], 10 * i);
    ASSERT_EQ(out[1], 20 * i);
    ++i;
  }
  EXPECT_EQ(i, 300);
}

TEST_P(shared_array_test, two_pools_share_an_array) {
  process_pool_executor a(options(1)), b(options(1));
  const shared_array<double> x = a.submit(counting, std::size_t{50}).get();
  b.submit(fill, x, 1.0).get();
  EXPECT_EQ(a.submit(sum, x).get(), 50.0);
  EXPECT_EQ(b.submit(same, x).get(), x);
}

TEST_P(shared_array_test, a_const_array_is_read_only_in_a_worker) {
  process_pool_executor pool(options(1));
  const shared_array<int> a(10);
  const auto cheat = [](std::span<const int> xs) {
    signal(SIGSEGV, SIG_DFL);  // a sanitizer would write a report
    const_cast<int&>(xs[3]) = 1;
  };
  EXPECT_THROW(pool.submit(cheat, a).get(), worker_crashed);
  EXPECT_EQ(a[3], 0);
  const auto allowed = [](std::span<int> xs) { xs[3] = 1; };
  pool.submit(allowed, a).get();
  EXPECT_EQ(a[3], 1);
}

TEST_P(shared_array_test, parts_have_bounds) {
  const shared_array<int> a(10);
  EXPECT_EQ(a.subarray(10, 0).size(), 0U);
  EXPECT_EQ(a.subarray(2, 8).data(), a.data() + 2);
  EXPECT_THROW((void)a.subarray(11, 0), std::out_of_range);
  EXPECT_THROW((void)a.subarray(5, 6), std::out_of_range);
  EXPECT_THROW((void)a.subarray(5, ~std::size_t{0}), std::out_of_range);
}

TEST_P(shared_array_test, a_handle_travels_only_in_tasks_and_results) {
  const shared_array<double> a(10);
  const auto initializer = partial([](const shared_array<double>&) {}, a);
  try {
    const invocation i(initializer);
    ADD_FAILURE();
  } catch (const codec_error& e) {
    EXPECT_THAT(e.what(), HasSubstr("arguments of tasks"));
  }
}

shared_array<int> inherited;

// With start_method::fork globals are those of the parent: readable, and no handles there.
TEST_P(shared_array_test, a_global_in_a_worker) {
  inherited = shared_array<int>::copy_of(std::array{1, 2, 3});
  {
    process_pool_executor pool(options());
    const std::size_t there = pool.submit([] {
                                    const shared_array<int> copy = inherited;
                                    return copy.size();
                                  })
                                  .get();
    if (method() == start_method::fork) {
      EXPECT_EQ(there, 3U);
      EXPECT_EQ(pool.submit([] { return inherited[2]; }).get(), 3);
      EXPECT_THROW(pool.submit([] { return inherited; }).get(), codec_error);
      pool.submit([] { inherited = shared_array<int>(); }).get();
    } else {
      EXPECT_EQ(there, 0U);
    }
  }
  EXPECT_EQ(inherited[1], 2);
  inherited = {};
}

TEST_P(shared_array_test, a_process_that_the_program_forks) {
  shared_array<int> a = shared_array<int>::copy_of(std::array{1, 2, 3});
  const pid_t child = fork();
  if (child == 0) {
    const int third = a[2];
    a = {};  // which means nothing to the program
    shared_array<int> own(1);
    own[0] = third;
    _exit(own[0]);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(WEXITSTATUS(status), 3);
  process_pool_executor pool(options());
  EXPECT_EQ(pool.submit([](std::span<const int> xs) { return xs[0]; }, a).get(), 1);
}

TEST_P(shared_array_test, a_process_that_a_task_forks) {
  process_pool_executor pool(options(1));
  const shared_array<int> a(10);
  const auto forks = [](shared_array<int> x) {
    const pid_t child = fork();
    if (child == 0) {
      x[1] = 11;
      x = {};
      _exit(0);
    }
    waitpid(child, nullptr, 0);
    return x;
  };
  EXPECT_EQ(pool.submit(forks, a).get(), a);
  EXPECT_EQ(a[1], 11);
}

}  // namespace
