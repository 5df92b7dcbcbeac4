// Maps whose items and results are plain bytes: they travel as blocks, and still each item stands
// for itself.
#include <csignal>
#include <cstdint>
#include <deque>
#include <numeric>
#include <stdexcept>
#include <tuple>

#include "support/pool_test.hpp"

namespace {

using namespace procpool;
using namespace procpool::testing;

class map_runs_test : public pool_test {};
PROCPOOL_FOR_EACH_START_METHOD(map_runs_test);

std::vector<int> up_to(int n) {
  std::vector<int> all(static_cast<std::size_t>(n));
  std::iota(all.begin(), all.end(), 0);
  return all;
}

int next_unless(int x, int bad) {
  if (x == bad) throw std::invalid_argument("bad item " + std::to_string(x));
  return x + 1;
}
int next_or_die(int x) {
  if (x % 10 == 3) std::raise(SIGKILL);
  return x + 1;
}
void check(int x) {
  if (x == 7 || x == 20) throw std::out_of_range("item " + std::to_string(x));
}

// Where the run ends: at its begin, in the middle, at its end, and not at all.
TEST_P(map_runs_test, an_exception_ends_the_run_and_concerns_one_item) {
  process_pool_executor pool(options(2));
  for (const int bad : {0, 1, 50, 98, 99, 100}) {
    SCOPED_TRACE(bad);
    for (const std::size_t chunk : {std::size_t{1}, std::size_t{7}, std::size_t{100}}) {
      int i = 0;
      auto results =
          pool.map(map_options{.chunksize = chunk}, next_unless, up_to(100), std::vector(100, bad));
      for (auto& r : results.outcomes()) {
        ASSERT_EQ(r.index(), static_cast<std::size_t>(i));
        ASSERT_EQ(r.has_value(), i != bad);
        if (r) {
          ASSERT_EQ(*r, i + 1);
        } else {
          ASSERT_EQ(r.what(), "bad item " + std::to_string(bad));
        }
        ++i;
      }
      ASSERT_EQ(i, 100);
    }
  }
}

TEST_P(map_runs_test, each_death_costs_one_item) {
  process_pool_executor pool(options(2));
  int i = 0;
  for (auto& r : pool.map(map_options{.chunksize = 16}, next_or_die, up_to(64)).outcomes()) {
    ASSERT_EQ(r.has_value(), i % 10 != 3) << i;
    if (r) {
      ASSERT_EQ(*r, i + 1);
    }
    ++i;
  }
  EXPECT_EQ(i, 64);
}

TEST_P(map_runs_test, for_each_throws_the_error_of_the_lowest_index) {
  process_pool_executor pool(options(2));
  for (const std::size_t chunk : {std::size_t{1}, std::size_t{5}, std::size_t{64}}) {
    try {
      pool.for_each(map_options{.chunksize = chunk}, check, up_to(64));
      FAIL() << "nothing was thrown";
    } catch (const std::out_of_range& e) {
      EXPECT_STREQ(e.what(), "item 7");
    }
  }
}

struct pixel {
  std::uint8_t r, g, b;
  friend bool operator==(const pixel&, const pixel&) = default;
};
pixel invert(pixel p) {
  return {static_cast<std::uint8_t>(255 - p.r), static_cast<std::uint8_t>(255 - p.g),
          static_cast<std::uint8_t>(255 - p.b)};
}

// Three bytes each: neither items nor results are aligned to anything.
TEST_P(map_runs_test, items_of_odd_size) {
  std::vector<pixel> in, expected;
  for (int i = 0; i < 10'000; ++i) {
    in.push_back({static_cast<std::uint8_t>(i), static_cast<std::uint8_t>(i / 3), 7});
    expected.push_back(invert(in.back()));
  }
  process_pool_executor pool(options(2));
  EXPECT_EQ(pool.map(invert, in).to_vector(), expected);
  EXPECT_EQ(pool.map(map_options{.chunksize = 3}, invert, std::span(in)).to_vector(), expected);
}

// One range in one piece, one in many, and one whose elements are made as they are read.
TEST_P(map_runs_test, ranges_of_all_kinds) {
  const auto add = [](int a, short b, double c) { return a + b + c; };
  std::deque<short> shorts(1000);
  std::iota(shorts.begin(), shorts.end(), short{0});
  process_pool_executor pool(options(2));
  int i = 0;
  for (const double x :
       pool.map(add, up_to(2000), shorts,
                std::views::iota(0) | std::views::transform([](int n) { return n / 2.0; }))) {
    ASSERT_EQ(x, i + i + i / 2.0);
    ++i;
  }
  EXPECT_EQ(i, 1000);
  i = 0;
  for (const bool even : pool.map([](int x) { return x % 2 == 0; }, up_to(777))) {
    ASSERT_EQ(even, i++ % 2 == 0);
  }
  EXPECT_EQ(i, 777);
}

TEST_P(map_runs_test, in_order_of_completion_each_item_comes_once) {
  process_pool_executor pool(options(2));
  std::vector<int> seen(5000);
  for (auto& r :
       pool.map(map_options{.ordered = false}, next_unless, up_to(5000), std::vector(5000, 4321))
           .outcomes()) {
    ++seen[r.index()];
    ASSERT_EQ(r.has_value(), r.index() != 4321);
    if (r) {
      ASSERT_EQ(static_cast<std::size_t>(*r), r.index() + 1);
    }
  }
  EXPECT_EQ(seen, std::vector<int>(5000, 1));
}

// More than fits into one chunk, and the reader goes away in the middle of a run.
TEST_P(map_runs_test, a_reader_leaves_in_the_middle_of_a_run) {
  process_pool_executor pool(options(2));
  const std::vector<int> items = up_to(1'000'000);
  {
    auto results = pool.map(next_unless, items, std::vector(items.size(), -1));
    int i = 0;
    for (const int x : results) {
      ASSERT_EQ(x, ++i);
      if (i == 123'456) break;
    }
    results.cancel();
    EXPECT_EQ(results.begin(), results.end());
  }
  std::int64_t sum = 0;
  for (const int x : pool.map([](int n) { return n + 1; }, items)) sum += x;
  EXPECT_EQ(sum, 500'000'500'000);
}

}  // namespace
