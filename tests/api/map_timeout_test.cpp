// What becomes of items that run when their map, reduction or pipeline ends before its last result:
// by a timeout, by the end of the results, or by an exception.
#include <unistd.h>

#include <atomic>
#include <stdexcept>
#include <thread>
#include <vector>

#include "support/pool_test.hpp"
#include "support/tally.hpp"

namespace {

using namespace procpool;
using namespace procpool::testing;
using namespace std::chrono_literals;

class map_timeout_test : public pool_test {};
PROCPOOL_FOR_EACH_START_METHOD(map_timeout_test);

int echo(int x) { return x; }
int first(int a, int) { return a; }
int hang(const std::string& begun) {
  add_to_tally(begun);
  for (;;) pause();
}

std::vector<std::string> paths(int n, const tally& t) {
  return std::vector<std::string>(static_cast<std::size_t>(n), t.path());
}

// A text, and then the end of the input once the first item runs: a call that blocks has a timeout
// that is over already, and an item that certainly runs.
auto once_it_runs(const tally& begun) {
  return generate([&begun, given = false]() mutable -> std::optional<std::string> {
    if (!std::exchange(given, true)) return begun.path();
    EXPECT_TRUE(eventually([&] { return begun.count() == 1; }));
    return std::nullopt;
  });
}

template <class Call>
std::string timeout_text(Call call) {
  try {
    call();
  } catch (const timeout_error& e) {
    return e.what();
  }
  ADD_FAILURE() << "no timeout";
  return {};
}

void expect_in(const std::string& what, const std::string& part) {
  EXPECT_NE(what.find(part), std::string::npos) << what << "\nlacks: " << part;
}

// The worker is replaced, the executor's destructor returns, and nothing runs in place of the item.
TEST_P(map_timeout_test, a_timeout_kills_items_that_hang) {
  for (const bool ordered : {true, false}) {
    for (const std::size_t chunksize : {1U, 3U}) {
      process_pool_executor pool(options(1));
      tally begun;
      auto results = pool.map({.chunksize = chunksize,
                               .timeout = 1ms,
                               .cancel = cancel_mode::kill_running,
                               .ordered = ordered},
                              hang, paths(6, begun));
      EXPECT_TRUE(eventually([&] { return begun.count() == 1; }));
      const std::string what = timeout_text([&] { results.begin(); });
      expect_in(what, "the map did not finish in time: 6 items are left");
      expect_in(what, "the workers of running items are killed: " +
                          std::string(chunksize == 1 ? "item 0" : "one of the items 0 to 2"));
      EXPECT_EQ(what.find("continue"), std::string::npos) << what;
      EXPECT_TRUE(results.begin() == results.end());
      EXPECT_EQ(pool.submit(echo, 4).get(), 4);
      EXPECT_EQ(begun.count(), 1);
    }
  }
}

TEST_P(map_timeout_test, by_default_running_items_continue) {
  process_pool_executor pool(options(1));
  tally gate, arrived;
  auto results = pool.map({.chunksize = 1, .timeout = 1ms}, arrive_and_wait, paths(2, arrived),
                          paths(2, gate), std::vector{0, 1});
  EXPECT_TRUE(eventually([&] { return arrived.count() == 1; }));
  const std::string what = timeout_text([&] { results.begin(); });
  expect_in(what,
            "2 items are left, the first of them item 0; items that have not begun are "
            "cancelled, and running items continue: item 0; ");
  expect_in(what, "cancel_mode::kill_running");
  EXPECT_EQ(pool.stats().restarts, 0U);
  gate.add();
  EXPECT_EQ(pool.submit(echo, 4).get(), 4);
  EXPECT_EQ(pool.stats().failed, 0U);
  EXPECT_EQ(arrived.count(), 1);
}

// The gate opens when the map has cancelled what waits: the item then ends within the grace.
TEST_P(map_timeout_test, items_that_end_within_the_grace_are_not_killed) {
  process_pool_executor pool(options(1));
  tally gate, arrived;
  auto results =
      pool.map({.chunksize = 1, .timeout = 1ms, .cancel = cancel_mode::kill_running, .grace = 60s},
               arrive_and_wait, paths(3, arrived), paths(3, gate), std::vector{0, 1, 2});
  EXPECT_TRUE(eventually([&] { return arrived.count() == 1; }));
  std::thread opener([&] {
    EXPECT_TRUE(eventually([&] { return pool.stats().pending == 0; }));
    gate.add();
  });
  const std::string what = timeout_text([&] { results.begin(); });
  opener.join();
  expect_in(what, "3 items are left");
  EXPECT_EQ(what.find("killed"), std::string::npos) << what;
  EXPECT_EQ(what.find("continue"), std::string::npos) << what;
  EXPECT_EQ(pool.submit(echo, 4).get(), 4);
  EXPECT_EQ(pool.stats().failed, 0U);
}

TEST_P(map_timeout_test, the_end_of_the_results_kills_items_that_hang) {
  process_pool_executor pool(options(1));
  tally begun;
  try {
    auto results = pool.map({.chunksize = 1, .cancel = cancel_mode::kill_running, .grace = 1ms},
                            hang, paths(3, begun));
    EXPECT_TRUE(eventually([&] { return begun.count() == 1; }));
    throw std::runtime_error("of the reader");
  } catch (const std::runtime_error&) {
    EXPECT_EQ(pool.submit(echo, 4).get(), 4);
  }
  EXPECT_EQ(begun.count(), 1);
}

// All results were read: there is nothing to kill, and nothing to wait for.
TEST_P(map_timeout_test, a_map_that_is_read_to_its_end_kills_nothing) {
  process_pool_executor pool(options(2));
  const map_options o{.timeout = 60s, .cancel = cancel_mode::kill_running, .grace = 60s};
  EXPECT_EQ(pool.map(o, echo, std::vector{1, 2, 3}).to_vector(), (std::vector{1, 2, 3}));
  EXPECT_EQ(pool.map_reduce(o, echo, first, std::vector{1, 2, 3}), 1);
  pool.for_each(o, echo, std::vector{1, 2, 3});
  EXPECT_EQ(pool.stats().restarts, 0U);
}

TEST_P(map_timeout_test, for_each_and_map_reduce_kill_items_that_hang) {
  process_pool_executor pool(options(1));
  const map_options o{.timeout = 1ms, .cancel = cancel_mode::kill_running};
  {
    tally begun;
    const std::string what = timeout_text([&] { pool.for_each(o, hang, once_it_runs(begun)); });
    expect_in(what, "1 item is left, the first of them item 0; ");
    expect_in(what, "are killed: item 0");
  }
  {
    tally begun;
    const std::string what =
        timeout_text([&] { (void)pool.map_reduce(o, hang, first, once_it_runs(begun)); });
    expect_in(what, "the map_reduce did not finish in time: 1 item is left");
    expect_in(what, "are killed: item 0");
  }
  EXPECT_EQ(pool.submit(echo, 4).get(), 4);
}

TEST_P(map_timeout_test, a_pipeline_kills_stages_that_hang) {
  process_pool_executor pool(options(1));
  const auto p = pipeline(stage(pool, [](const std::string& s) { return s; }), stage(pool, hang));
  {
    tally begun;
    auto results = p.run({.timeout = 1ms, .cancel = cancel_mode::kill_running}, paths(2, begun));
    EXPECT_TRUE(eventually([&] { return begun.count() == 1; }));
    const std::string what = timeout_text([&] { results.begin(); });
    expect_in(what, "the pipeline did not finish in time: 2 items are left");
    expect_in(what, "are killed: item ");
    EXPECT_TRUE(results.begin() == results.end());
    EXPECT_EQ(pool.submit(echo, 4).get(), 4);
    EXPECT_EQ(begun.count(), 1);
  }
  {
    tally begun;
    {
      auto results = p.run({.cancel = cancel_mode::kill_running, .grace = 1ms}, paths(2, begun));
      EXPECT_TRUE(eventually([&] { return begun.count() == 1; }));
    }
    EXPECT_EQ(pool.submit(echo, 4).get(), 4);
    EXPECT_EQ(begun.count(), 1);
  }
}

class map_timeout_in_threads_test : public leak_free_test {};

TEST_F(map_timeout_in_threads_test, items_in_threads_continue) {
  tally gate, arrived;
  thread_pool_executor pool(1);
  auto results = pool.map({.chunksize = 1, .timeout = 1ms, .cancel = cancel_mode::kill_running},
                          arrive_and_wait, paths(2, arrived), paths(2, gate), std::vector{0, 1});
  EXPECT_TRUE(eventually([&] { return arrived.count() == 1; }));
  expect_in(timeout_text([&] { results.begin(); }), "running items continue: item 0; ");
  gate.add();
  EXPECT_EQ(pool.submit(echo, 4).get(), 4);
  EXPECT_EQ(arrived.count(), 1);
}

}  // namespace
