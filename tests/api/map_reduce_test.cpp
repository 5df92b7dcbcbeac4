// map_reduce under hostile use: what it is given, which workers die in it, and how it ends early.
// That all executors agree is in executors_test.cpp.
#include <algorithm>
#include <atomic>
#include <csignal>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "support/pool_test.hpp"
#include "support/tally.hpp"

namespace {

using namespace procpool;
using namespace procpool::testing;
using namespace std::chrono_literals;

std::string text_of(int i) { return std::to_string(i % 10); }
// Neither commutative nor associative: the whole tree shows.
std::string pair_of(const std::string& a, const std::string& b) { return "(" + a + b + ")"; }

std::atomic<int> runs = 0;

int count_and_fail_at_3(int x) {
  ++runs;
  return x == 3 ? throw std::domain_error("three") : x;
}

class map_reduce_test : public leak_free_test {
 protected:
  void SetUp() override {
    process_pool_executor(1).submit([] {}).get();  // what stays is made
    leak_free_test::SetUp();
  }
};

TEST_F(map_reduce_test, the_same_tree_for_any_number_of_workers) {
  const auto reduce = [](auto& e) {
    return e.map_reduce(text_of, pair_of, std::views::iota(0, 1000)).value();
  };
  inline_executor here;
  const std::string expected = reduce(here);
  for (const int workers : {1, 2, 3}) {
    process_pool_executor pool(workers);
    EXPECT_EQ(reduce(pool), expected);
    any_executor any(pool);
    EXPECT_EQ(reduce(any), expected);
  }
  for (const int workers : {1, 2, 7}) {
    thread_pool_executor pool(workers);
    EXPECT_EQ(reduce(pool), expected);
  }
}

TEST_F(map_reduce_test, move_only_types_and_vector_of_bool) {
  process_pool_executor processes(2);
  thread_pool_executor threads(2);
  const auto check = [](auto& e) {
    // Only moved.
    const auto own = [](int x) { return std::make_unique<int>(x); };
    const auto add = [](std::unique_ptr<int> a, std::unique_ptr<int> b) {
      *a += *b;
      return a;
    };
    EXPECT_EQ(**e.map_reduce({.chunksize = 2}, own, add, std::views::iota(0, 9)), 36);
    // No references to elements of a vector, nor to results.
    const auto even = [](bool b) { return !b; };
    EXPECT_EQ(e.map_reduce({.chunksize = 2}, even, std::logical_and<>(),
                           std::vector<bool>{false, false, false, true}),
              false);
    // Text for a function of C.
    const auto length = [](const char* s) { return std::string(s).size(); };
    EXPECT_EQ(e.map_reduce(length, std::plus<>(), std::vector<std::string>{"a", "bc", "def"}), 6U);
    // One that is bound, and one of a class.
    EXPECT_EQ(e.map_reduce(partial([](int a, int b) { return a * b; }, 2), std::plus<int>(),
                           std::vector{1, 2, 3}),
              12);
    EXPECT_EQ(e.map_reduce(&std::string::size, std::plus<>(), std::vector<std::string>{"a", "bc"}),
              3U);
  };
  check(processes);
  check(threads);
}

// Where tasks are always done in time, only the input could be late.
TEST_F(map_reduce_test, an_infinite_input_ends_with_its_timeout) {
  inline_executor here;
  thread_pool_executor threads(2);
  process_pool_executor processes(2);
  const auto check = [](auto& e) {
    const auto same = [](int x) { return x; };
    const auto larger = [](int a, int b) { return std::max(a, b); };
    EXPECT_THROW((void)e.map_reduce({.timeout = 30ms}, same, larger, std::views::iota(0)),
                 timeout_error);
    EXPECT_THROW(e.for_each({.timeout = 30ms}, same, std::views::iota(0)), timeout_error);
    e.for_each({.timeout = 30s}, same, std::views::iota(0, 100));
    EXPECT_EQ(e.map_reduce({.timeout = 30s}, same, larger, std::views::iota(0, 100)), 99);
  };
  check(here);
  check(threads);
  check(processes);
}

TEST_F(map_reduce_test, an_input_that_throws) {
  thread_pool_executor threads(2);
  process_pool_executor processes(2);
  const auto check = [](auto& e) {
    int next = 0;
    EXPECT_THROW((void)e.map_reduce(text_of, pair_of, generate([&]() -> std::optional<int> {
                                      if (next == 40) throw std::range_error("torn");
                                      return next++;
                                    })),
                 std::range_error);
    EXPECT_EQ(e.submit(text_of, 3).get(), "3");
  };
  check(threads);
  check(processes);
}

// The rest is not wanted.
TEST_F(map_reduce_test, an_error_cancels_tasks_that_have_not_started) {
  thread_pool_executor pool(1);
  runs = 0;
  EXPECT_THROW((void)pool.map_reduce({.chunksize = 1}, count_and_fail_at_3, std::plus<>(),
                                     std::views::iota(0, 100'000)),
               std::domain_error);
  pool.shutdown();
  EXPECT_LT(runs, 100);
}

TEST_F(map_reduce_test, a_worker_dies_in_either_function) {
  process_pool_executor pool(2);
  const auto same = [](int x) { return x; };
  const auto die_at_3 = [](int x) { return x == 3 ? std::raise(SIGKILL) : x; };
  const auto die = [](int, int) -> int { return std::raise(SIGKILL); };
  for (const std::size_t chunksize : {1U, 4U}) {
    EXPECT_THROW((void)pool.map_reduce({.chunksize = chunksize}, die_at_3, std::plus<>(),
                                       std::views::iota(0, 20)),
                 worker_crashed);
    EXPECT_THROW(
        (void)pool.map_reduce({.chunksize = chunksize}, same, die, std::views::iota(0, 20)),
        worker_crashed);
  }
  EXPECT_EQ(pool.map_reduce(same, std::plus<>(), std::views::iota(0, 20)), 190);
}

TEST_F(map_reduce_test, a_chunk_is_tried_again) {
  process_pool_executor pool(2);
  const tally tries;
  const auto die_once = [](const std::string& path, int x) {
    if (x == 5) {
      add_to_tally(path);
      if (std::filesystem::file_size(path) == 1) std::raise(SIGKILL);
    }
    return x;
  };
  EXPECT_EQ(pool.map_reduce({.task = {.retries = 1}}, partial(die_once, tries.path()),
                            std::plus<>(), std::views::iota(0, 20)),
            190);
  EXPECT_EQ(tries.count(), 2);
}

TEST_F(map_reduce_test, the_pool_ends_during_a_map_reduce) {
  const auto check = [](auto& pool) {
    std::atomic<int> read = 0;
    std::jthread other([&] {
      eventually([&] { return read > 200; });
      pool.shutdown({.wait = false});
    });
    EXPECT_THROW((void)pool.map_reduce({.chunksize = 1}, text_of, pair_of,
                                       generate([&]() -> std::optional<int> { return read++; })),
                 shutdown_error);
  };
  process_pool_executor processes(2);
  thread_pool_executor threads(2);
  check(processes);
  check(threads);
}

}  // namespace
