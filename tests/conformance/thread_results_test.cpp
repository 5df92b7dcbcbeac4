// Results of threads: what CPython's executor.py, test_wait.py and test_as_completed.py ask of all
// executors, in map, wait and as_completed, for executors of this process. The same for worker
// processes is in the files named after CPython's.
#include <atomic>
#include <latch>
#include <memory>
#include <numeric>
#include <set>
#include <string>
#include <vector>

#include "support/pool_test.hpp"

namespace {

using namespace procpool;
using namespace procpool::testing;
using namespace std::chrono_literals;

int power(int x, int y) { return y == 0 ? 1 : x * power(x, y - 1); }
int divide(int x) { return x == 3 ? throw std::domain_error("by zero") : 12 / (x + 1); }

class thread_results_test : public leak_free_test {
 protected:
  thread_pool_executor pool_{4};
};

TEST_F(thread_results_test, map_exception) {
  for (const std::size_t chunksize : {1U, 3U}) {
    auto results = pool_.map({.chunksize = chunksize}, divide, std::views::iota(0, 6));
    std::vector<int> read;
    EXPECT_THROW(for (const int x : results) read.push_back(x), std::domain_error);
    EXPECT_EQ(read, (std::vector{12, 6, 4}));
    EXPECT_EQ(results.to_vector(), (std::vector{2, 2}));
    EXPECT_TRUE(results.to_vector().empty()) << "stays at the end";
  }
}

TEST_F(thread_results_test, map_timeout_from_callable) {
  auto results = pool_.map({.timeout = 60s}, [](int) -> int { throw timeout_error("own"); }, {1});
  try {
    results.begin();
    ADD_FAILURE();
  } catch (const timeout_error& e) {
    EXPECT_STREQ(e.what(), "own");
  }
}

TEST_F(thread_results_test, map_timeout) {
  std::latch gate(1);
  auto results = pool_.map({.chunksize = 1, .timeout = 50ms},
                           [&](int x) {
                             if (x == 6) gate.wait();
                             return x;
                           },
                           {0, 0, 6});
  std::vector<int> read;
  EXPECT_THROW(for (const int x : results) read.push_back(x), timeout_error);
  EXPECT_LE(read.size(), 2U);
  EXPECT_TRUE(results.to_vector().empty());
  gate.count_down();
  pool_.shutdown();
}

// Python's close() is cancel().
TEST_F(thread_results_test, map_close) {
  for (const std::size_t chunksize : {1U, 3U}) {
    auto results = pool_.map({.chunksize = chunksize}, power, std::views::iota(0, 10),
                             std::views::iota(0, 10));
    EXPECT_EQ(*results.begin(), 1);
    for (int i = 0; i < 2; ++i) {
      results.cancel();
      EXPECT_TRUE(results.to_vector().empty());
    }
  }
}

TEST_F(thread_results_test, map_buffersize) {
  const std::vector<int> xs{2, 3, 4, 5};
  for (const std::size_t size : {1U, 2U, 4U, 8U}) {
    EXPECT_EQ(pool_.map({.buffersize = size}, power, xs, std::views::iota(1)).to_vector(),
              (std::vector{2, 9, 64, 625}));
  }
  EXPECT_TRUE(pool_.map({.buffersize = 2}, divide, std::vector<int>()).to_vector().empty());
  EXPECT_THROW((void)pool_.map({.buffersize = 0}, divide, xs), std::invalid_argument);
}

TEST_F(thread_results_test, map_buffersize_when_buffer_is_full) {
  int read = 0;
  auto endless = generate([&]() -> std::optional<int> { return read++; });
  auto results = pool_.map({.buffersize = 3}, divide, endless);
  EXPECT_EQ(read, 3);
  EXPECT_EQ(*results.begin(), 12);
  EXPECT_LE(read, 4);
}

// What was yielded belongs to the reader alone.
TEST_F(thread_results_test, free_reference) {
  const auto counted = std::make_shared<int>(7);
  auto results = pool_.map([&](int) { return counted; }, {1, 2, 3});
  for (std::shared_ptr<int>& p : results) {
    const std::shared_ptr<int> mine = std::move(p);
    EXPECT_EQ(*mine, 7);
  }
  EXPECT_EQ(counted.use_count(), 1);
}

TEST_F(thread_results_test, shutdown_race_issue12456) {
  std::atomic<int> done = 0;
  for (int i = 0; i < pool_.max_workers() + 1; ++i)
    pool_.submit([&] { ++done; }).on_done([](auto&) {});
  pool_.shutdown();
  EXPECT_EQ(done, pool_.max_workers() + 1);
}

// --- test_wait.py, test_as_completed.py ----------------------------------------------------------

using futures = std::vector<future<int>>;
using names = std::set<const future<int>*>;

names of(const auto& refs) {
  names all;
  for (const future<int>& f : refs) all.insert(&f);
  return all;
}

TEST_F(thread_results_test, wait_for_some_futures) {
  std::latch gate(1);
  futures fs;
  fs.push_back(pool_.submit([&] {
    gate.wait();
    return 1;
  }));
  fs.push_back(pool_.submit(power, 2, 3));
  fs[1].wait();
  auto first = wait(fs, {.until = return_when::first_completed});
  EXPECT_EQ(of(first.done), names{&fs[1]});
  EXPECT_EQ(of(first.not_done), names{&fs[0]});
  // A success does not end it.
  fs.push_back(pool_.submit([&]() -> int {
    gate.wait();
    throw std::domain_error("late");
  }));
  const std::vector<future<int>*> twice{&fs[0], &fs[1], &fs[1], &fs[0]};
  const auto in_vain = wait(twice, {.timeout = 20ms, .until = return_when::first_exception});
  EXPECT_EQ(of(in_vain.done), names{&fs[1]});
  EXPECT_EQ(of(in_vain.not_done), names{&fs[0]});
  gate.count_down();
  const auto failed = wait(fs, {.until = return_when::first_exception});
  EXPECT_TRUE(of(failed.done).contains(&fs[2]));
  EXPECT_EQ(of(wait(fs).done).size(), 3U);
  EXPECT_EQ(wait(fs, {.until = return_when::first_exception}).done.size(), 3U) << "at once";
  pool_.shutdown();
}

TEST_F(thread_results_test, as_completed_with_a_timeout) {
  std::latch gate(1);
  futures fs;
  for (int i = 0; i < 2; ++i) {
    fs.push_back(pool_.submit([&] {
      gate.wait();
      return 1;
    }));
  }
  fs.push_back(pool_.submit(power, 2, 3));
  fs.push_back(pool_.submit(divide, 3));
  for (const std::size_t i : {2U, 3U}) fs[i].wait();
  for (const duration limit : {duration(0s), duration(20ms)}) {
    names done;
    try {
      for (future<int>& f : as_completed(fs, limit)) done.insert(&f);
      ADD_FAILURE();
    } catch (const timeout_error& e) {
      EXPECT_STREQ(e.what(), "2 (of 4) futures unfinished");
    }
    EXPECT_EQ(done, (names{&fs[2], &fs[3]}));
  }
  gate.count_down();
  const std::vector<future<int>*> twice{&fs[0], &fs[1], &fs[0]};
  std::multiset<const future<int>*> done;
  for (const future<int>* f : as_completed(twice)) done.insert(f);
  EXPECT_EQ(done, (std::multiset<const future<int>*>{&fs[0], &fs[1]}));
  pool_.shutdown();
}

// Nothing grows with their number.
TEST_F(thread_results_test, very_many_results) {
  constexpr int many = 100'000;
  futures fs;
  for (int i = 0; i < many; ++i) fs.push_back(pool_.submit([i] { return i; }));
  long sum = 0;
  for (future<int>& f : as_completed(fs)) sum += f.get();
  EXPECT_EQ(sum, many / 2 * static_cast<long>(many - 1));
}

}  // namespace
