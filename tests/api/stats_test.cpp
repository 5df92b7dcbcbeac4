// pool.stats(): what it says of workers and tasks, at moments when that is known.
#include <unistd.h>

#include <csignal>
#include <set>

#include "support/pool_test.hpp"
#include "support/tally.hpp"

namespace {

using namespace procpool;
using namespace procpool::testing;

int echo(int x) { return x; }

class stats_test : public pool_test {};
PROCPOOL_FOR_EACH_START_METHOD(stats_test);

bool all_are(const pool_stats& s, worker_state state) {
  for (const worker_stats& w : s.workers) {
    if (w.state != state) return false;
  }
  return true;
}

std::size_t tasks_of_workers(const pool_stats& s) {
  std::size_t sum = 0;
  for (const worker_stats& w : s.workers) sum += w.tasks_done;
  return sum;
}

TEST_P(stats_test, a_new_pool) {
  process_pool_executor pool(options(3));
  EXPECT_TRUE(eventually([&] { return all_are(pool.stats(), worker_state::idle); }));
  const pool_stats s = pool.stats();
  ASSERT_EQ(s.workers.size(), 3U);
  std::set<pid_t> pids;
  for (std::size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(s.workers[i].index, static_cast<int>(i));
    EXPECT_EQ(s.workers[i].tasks_done, 0U);
    EXPECT_EQ(::kill(s.workers[i].pid, 0), 0) << s.workers[i].pid;
    pids.insert(s.workers[i].pid);
  }
  EXPECT_EQ(pids.size(), 3U);
  EXPECT_EQ(s.pending + s.running + s.done + s.failed + s.restarts, 0U);
}

// index and pid are as the tasks themselves see them.
TEST_P(stats_test, workers_and_their_tasks) {
  process_pool_executor pool(options(2));
  tally begun, gate;
  const auto where = [](const std::string& b, const std::string& g) {
    add_to_tally(b);
    await_tally(g, 1);
    return std::pair(this_worker::index().value_or(-1), getpid());
  };
  auto first = pool.submit(where, begun.path(), gate.path());
  await_tally(begun.path(), 1);
  EXPECT_TRUE(eventually([&] {
    const pool_stats s = pool.stats();
    const auto busy = s.workers[0].state == worker_state::busy ? 0U : 1U;
    return s.workers[busy].state == worker_state::busy &&
           s.workers[1 - busy].state == worker_state::idle;
  }));
  auto second = pool.submit(where, begun.path(), gate.path());
  await_tally(begun.path(), 2);
  EXPECT_TRUE(eventually([&] { return all_are(pool.stats(), worker_state::busy); }));
  std::vector<future<int>> waiting;
  for (int i = 0; i < 5; ++i) waiting.push_back(pool.submit(echo, i));
  const pool_stats full = pool.stats();
  EXPECT_EQ(full.running, 2U);
  EXPECT_EQ(full.pending, 5U);
  EXPECT_EQ(full.done, 0U);
  EXPECT_EQ(tasks_of_workers(full), 0U);

  EXPECT_TRUE(waiting.back().cancel());
  EXPECT_EQ(pool.stats().pending, 4U);
  EXPECT_EQ(pool.stats().done, 1U);
  gate.add();
  for (auto* f : {&first, &second}) {
    const auto [index, pid] = f->get();
    ASSERT_TRUE(index == 0 || index == 1);
    EXPECT_EQ(full.workers[static_cast<std::size_t>(index)].pid, pid);
  }
  for (int i = 0; i < 4; ++i) EXPECT_EQ(waiting[static_cast<std::size_t>(i)].get(), i);
  EXPECT_TRUE(eventually([&] { return all_are(pool.stats(), worker_state::idle); }));
  // A worker counts a task just after its result can be read.
  EXPECT_TRUE(eventually([&] { return tasks_of_workers(pool.stats()) == 6; }));
  const pool_stats over = pool.stats();
  EXPECT_EQ(over.pending, 0U);
  EXPECT_EQ(over.running, 0U);
  EXPECT_EQ(over.done, 7U);
  EXPECT_EQ(over.failed, 0U);
  EXPECT_EQ(over.restarts, 0U);
}

// A task that throws is done; one that is lost with its worker is done and failed.
TEST_P(stats_test, failures_and_restarts) {
  process_pool_executor pool(options(1));
  const pid_t first = pool.submit(getpid).get();
  EXPECT_THROW(pool.submit([] { throw std::runtime_error("an error"); }).get(), std::runtime_error);
  EXPECT_TRUE(eventually([&] { return tasks_of_workers(pool.stats()) == 2; }));
  EXPECT_EQ(pool.stats().failed, 0U);
  for (int i = 0; i < 3; ++i) {
    EXPECT_THROW(pool.submit([] { raise(SIGKILL); }).get(), worker_crashed);
  }
  const pid_t last = pool.submit(getpid).get();
  EXPECT_NE(last, first);
  // The replacement has the index of the dead, and what was done at it is kept.
  EXPECT_TRUE(eventually([&] {
    const worker_stats w = pool.stats().workers.at(0);
    return w.state == worker_state::idle && w.tasks_done == 3;
  }));
  const pool_stats s = pool.stats();
  EXPECT_EQ(s.workers.size(), 1U);
  EXPECT_EQ(s.workers[0].index, 0);
  EXPECT_EQ(s.workers[0].pid, last);
  EXPECT_EQ(s.done, 6U);
  EXPECT_EQ(s.failed, 3U);
  EXPECT_EQ(s.restarts, 3U);

  pool.shutdown();
  const pool_stats after = pool.stats();
  ASSERT_EQ(after.workers.size(), 1U);
  EXPECT_EQ(after.workers[0].state, worker_state::ended);
  EXPECT_EQ(after.workers[0].pid, 0);
  EXPECT_EQ(after.workers[0].tasks_done, 3U);
  EXPECT_EQ(after.done, 6U);
}

// Tasks may run before the pool knows their workers; such a worker is starting, not busy.
TEST_P(stats_test, a_busy_worker_has_a_pid) {
  for (int round = 0; round < 5; ++round) {
    process_pool_executor pool(options(4));
    tally gate;
    std::vector<future<int>> futures;
    tally begun;
    for (int i = 0; i < 4; ++i) {
      futures.push_back(pool.submit(arrive_and_wait, begun.path(), gate.path(), i));
    }
    EXPECT_TRUE(eventually([&] {
      const pool_stats s = pool.stats();
      std::size_t at_work = 0;
      for (const worker_stats& w : s.workers) {
        const bool known = w.state == worker_state::busy || w.state == worker_state::idle;
        EXPECT_TRUE(!known || w.pid != 0) << w.index;
        at_work += w.state == worker_state::busy ? 1 : 0;
      }
      EXPECT_LE(at_work, s.running);
      return at_work == 4;
    }));
    gate.add();
    for (int i = 0; i < 4; ++i) EXPECT_EQ(futures[static_cast<std::size_t>(i)].get(), i);
  }
}

}  // namespace
