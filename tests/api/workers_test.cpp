// The workers of a pool: when all of them have started, and what pool_options says about them.
#include <unistd.h>

#include <csignal>
#include <set>

#include "conformance/meeting_point.hpp"
#include "support/pool_test.hpp"

namespace {

using namespace procpool;
using namespace procpool::testing;

class workers_test : public pool_test {};
PROCPOOL_FOR_EACH_START_METHOD(workers_test);

void refuse() { throw std::runtime_error("no licence"); }

std::set<pid_t> pids_of(const process_pool_executor& pool) {
  std::set<pid_t> pids;
  for (const worker_stats& w : pool.stats().workers) {
    if (w.state == worker_state::idle && w.pid != 0) pids.insert(w.pid);
  }
  return pids;
}

TEST_P(workers_test, all_are_there_after_the_wait) {
  process_pool_executor pool(options(3));
  pool.wait_for_workers();
  const std::set<pid_t> pids = pids_of(pool);
  EXPECT_EQ(pids.size(), 3U);
  EXPECT_FALSE(pool.broken());
  // One that has died is waited for again.
  ASSERT_EQ(::kill(*pids.begin(), SIGKILL), 0);
  EXPECT_TRUE(eventually([&] { return !pids_of(pool).contains(*pids.begin()); }));
  pool.wait_for_workers(duration(30));
  EXPECT_EQ(pids_of(pool).size(), 3U);
  pool.shutdown();
  EXPECT_THROW(pool.wait_for_workers(), shutdown_error);
  EXPECT_FALSE(pool.broken());
}

// A worker is there when its initializer is done.
TEST_P(workers_test, the_wait_includes_the_initializer) {
  const meeting_point at;
  pool_options o = options(1);
  o.initializer = partial(wait_for, at("gate"));
  process_pool_executor pool(std::move(o));
  try {
    pool.wait_for_workers(duration(0.05));
    ADD_FAILURE() << "no error";
  } catch (const timeout_error& e) {
    EXPECT_STREQ(e.what(), "1 (of 1) workers have not started");
  }
  touch(at("gate"));
  pool.wait_for_workers(duration(30));
  EXPECT_EQ(pids_of(pool).size(), 1U);
}

TEST_P(workers_test, a_broken_pool_says_why) {
  pool_options o = options(2);
  o.initializer = refuse;
  process_pool_executor pool(std::move(o));
  std::string why;
  try {
    pool.wait_for_workers(duration(30));
    ADD_FAILURE() << "no error";
  } catch (const broken_process_pool& e) {
    why = e.what();
  }
  EXPECT_NE(why.find("no licence"), std::string::npos) << why;
  EXPECT_EQ(pool.broken(), why);
  pool.shutdown();
  EXPECT_EQ(pool.broken(), why);
}

}  // namespace
