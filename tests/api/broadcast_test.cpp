// broadcast: one call in every worker, all at the same time, whatever else the pool does and
// whoever dies meanwhile.
#include <sys/types.h>
#include <unistd.h>

#include <csignal>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "support/pool_test.hpp"

namespace procpool::testing {
namespace {

class broadcast_test : public pool_test {};
PROCPOOL_FOR_EACH_START_METHOD(broadcast_test);

std::set<pid_t> pids_of(std::vector<future<pid_t>> futures) {
  std::set<pid_t> pids;
  for (auto& f : futures) pids.insert(f.get());
  return pids;
}

TEST_P(broadcast_test, once_in_every_worker) {
  process_pool_executor pool(options(4));
  const auto first = pids_of(pool.broadcast([] { return getpid(); }));
  EXPECT_EQ(first.size(), 4U);
  EXPECT_EQ(pids_of(pool.broadcast(getpid)), first);
}

// Each waits for all others: with two calls in one worker nobody would come through.
TEST_P(broadcast_test, all_at_the_same_time) {
  process_pool_executor pool(options(3));
  shared_value<std::atomic<int>> there(0);
  const auto meet = [](const shared_value<std::atomic<int>>& n) {
    ++*n;
    return eventually([&] { return n->load() == 3; });
  };
  for (auto& f : pool.broadcast(meet, there)) EXPECT_TRUE(f.get());
}

TEST_P(broadcast_test, arguments_results_and_errors) {
  process_pool_executor pool(options(2));
  const auto twice = [](std::string_view text, int n) {
    if (n < 0) throw std::invalid_argument("below zero");
    return std::string(text) + std::to_string(n);
  };
  for (auto& f : pool.broadcast(twice, "n = ", 7)) EXPECT_EQ(f.get(), "n = 7");
  for (auto& f : pool.broadcast(twice, "", -1)) EXPECT_THROW(f.get(), std::invalid_argument);
  for (auto& f : pool.broadcast(partial([](int a, int b) { return a + b; }, 2), 3)) {
    EXPECT_EQ(f.get(), 5);
  }
}

TEST_P(broadcast_test, between_other_tasks_and_other_broadcasts) {
  process_pool_executor pool(options(2));
  const auto many = [&] {
    for (int i = 0; i < 20; ++i) {
      auto before = pool.submit([](int n) { return n; }, i);
      EXPECT_EQ(pids_of(pool.broadcast(getpid)).size(), 2U);
      EXPECT_EQ(before.get(), i);
    }
  };
  std::thread other(many);
  many();
  other.join();
}

// The worker that has come dies while the other one is still busy.
TEST_P(broadcast_test, a_worker_dies_before_all_have_come) {
  process_pool_executor pool(options(2));
  const auto pids = pids_of(pool.broadcast(getpid));
  shared_value<std::atomic<pid_t>> busy(0);
  shared_value<std::atomic<int>> go(0);
  auto holds_one = pool.submit(
      [](const shared_value<std::atomic<pid_t>>& who, const shared_value<std::atomic<int>>& until) {
        *who = getpid();
        return eventually([&] { return until->load() != 0; });
      },
      busy, go);
  ASSERT_TRUE(eventually([&] { return busy->load() != 0; }));
  std::thread killer([&] {
    for (const pid_t p : pids) {
      if (p == busy->load()) continue;
      eventually([&] { return pool.stats().running == 2; });
      kill(p, SIGKILL);
      eventually([&] { return pool.stats().restarts == 1; });
    }
    *go = 1;
  });
  const auto now = pids_of(pool.broadcast(getpid));
  killer.join();
  EXPECT_TRUE(holds_one.get());
  EXPECT_EQ(now.size(), 2U);
  EXPECT_NE(now, pids);
}

TEST_P(broadcast_test, a_crash_in_one_call_costs_that_call) {
  process_pool_executor pool(options(3));
  shared_value<std::atomic<int>> first(0);
  int crashed = 0;
  const auto one_aborts = [](const shared_value<std::atomic<int>>& n) {
    if (n->fetch_add(1) == 0) std::abort();
  };
  for (auto& f : pool.broadcast(one_aborts, first)) {
    crashed += f.exception() != nullptr ? 1 : 0;
  }
  EXPECT_EQ(crashed, 1);
}

TEST_P(broadcast_test, a_pool_that_ends_or_breaks) {
  {
    process_pool_executor pool(options(2));
    pool.shutdown();
    EXPECT_THROW((void)pool.broadcast(getpid), shutdown_error);
  }
  pool_options o = options(2);
  o.initializer = [] { throw std::runtime_error("no licence"); };
  process_pool_executor pool(std::move(o));
  EXPECT_THROW((void)pool.broadcast(getpid), broken_process_pool);
}

// What waits at the meeting goes with the workers.
TEST_P(broadcast_test, the_workers_are_killed_meanwhile) {
  process_pool_executor pool(options(2));
  auto holds_one = pool.submit([] { pause(); });
  ASSERT_TRUE(eventually([&] { return holds_one.running(); }));
  std::thread killer([&] {
    eventually([&] { return pool.stats().running == 2; });
    pool.kill_workers();
  });
  EXPECT_THROW((void)pool.broadcast(getpid), std::exception);
  killer.join();
  EXPECT_THROW(holds_one.get(), worker_crashed);
}

}  // namespace
}  // namespace procpool::testing
