// Time limits race with the end of the tasks, with cancellations, retries and crashes: each future
// resolves once, with the value or for a reason that is true; no task runs more often than its
// retries allow; and no kill hits a task that is not over its limit.
//
// PROCPOOL_LIMIT_TASKS and PROCPOOL_SEED make it longer, or the same again.
#include <csignal>
#include <cstdlib>
#include <deque>
#include <iostream>
#include <map>
#include <mutex>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "chaos/ledger.hpp"
#include "support/pool_test.hpp"

namespace {

using namespace procpool;
using namespace procpool::testing;
using namespace std::chrono_literals;

constexpr duration limit = 2ms;
constexpr duration unresolved_after = 60s;
constexpr int most_retries = 2;

std::uint64_t setting(const char* name, std::uint64_t usual) {
  const char* text = std::getenv(name);
  return text == nullptr ? usual : std::strtoull(text, nullptr, 10);
}

struct job {
  ledger::address book;
  std::uint64_t id = 0;
  std::uint32_t busy_us = 0;
};

std::uint64_t value_of(std::uint64_t id) { return id * 0x9e3779b97f4a7c15U + 1; }

// Busy, so that its end and its limit are equally exact.
std::uint64_t work(const job& j) {
  ledger& book = ledger::of(j.book);
  book.starts(j.id).fetch_add(1);
  const auto end = std::chrono::steady_clock::now() + std::chrono::microseconds(j.busy_us);
  while (std::chrono::steady_clock::now() < end) continue;
  book.ends(j.id).fetch_add(1);
  return value_of(j.id);
}

struct issued {
  std::uint64_t id = 0;
  bool limited = false, cancelled = false, killed = false;
  int retries = 0;
  future<std::uint64_t> result;
};

class limit_storm {
 public:
  explicit limit_storm(std::uint64_t tasks) : tasks_(tasks), book_(2 * tasks) {}

  // One thread of the user: submits a window of tasks, meddles, and reads it.
  void submit_and_get(process_pool_executor& pool, std::uint64_t seed) {
    std::mt19937_64 random(seed);
    for (std::uint64_t first = next_.load(); first < tasks_; first = next_.load()) {
      std::deque<issued> window;
      for (int i = 0; i < 16; ++i) window.push_back(submit(pool, random));
      for (issued& t : window) {
        // Near the limit, too: the thread has waited for the tasks before.
        const auto dice = random() % 16;
        if (dice == 0) t.cancelled = t.result.cancel();
        if (dice == 1) t.killed = t.result.cancel(cancel_mode::kill_running);
        check(t);
      }
    }
  }

  std::map<std::string, int> counts;
  std::vector<std::string> complaints;

 private:
  issued submit(process_pool_executor& pool, std::mt19937_64& random) {
    issued t;
    t.id = next_.fetch_add(1);
    job j{book_.where(), t.id, 0};
    // Half of the tasks have no limit, and must survive whatever their neighbours do.
    t.limited = random() % 2 == 0;
    t.retries = random() % 4 == 0 ? most_retries : 0;
    constexpr std::uint32_t at = static_cast<std::uint32_t>(limit / 1us);
    const std::uint32_t times[] = {0, at / 2, at - 50, at - 5, at, at + 5, at + 50, 2 * at};
    j.busy_us = times[random() % std::size(times)];
    task_options o{.retries = t.retries};
    if (t.limited) o.time_limit = limit;
    t.result = pool.submit(o, work, j);
    return t;
  }

  void check(issued& t) {
    const auto starts = [&] { return int{book_.starts(t.id).load()}; };
    const std::string who = "task " + std::to_string(t.id) + ": ";
    std::string kind, wrong;
    try {
      if (t.result.get_for(unresolved_after) != value_of(t.id)) wrong = "a wrong value";
      kind = "value";
      if (starts() == 0 || book_.ends(t.id).load() == 0) wrong = "a value that no run has made";
      if (t.cancelled || t.killed) wrong = "a value after a cancel that said true";
    } catch (const task_timeout& e) {
      kind = "timeout";
      if (!t.limited) wrong = "without a limit, " + std::string(e.what());
      if (e.limit() != limit || e.signal() != SIGKILL) wrong = e.what();
      if (e.attempt() != 1 + t.retries) wrong = "given up before the last attempt";
      if (t.killed || t.cancelled) wrong = "a timeout after a cancel that said true";
    } catch (const cancelled_error&) {
      kind = t.killed ? "killed" : "cancelled";
      if (!t.cancelled && !t.killed) wrong = "cancelled by nobody";
    } catch (const std::exception& e) {
      kind = "other";
      wrong = e.what();
    }
    if (starts() > 1 + t.retries) wrong = "started " + std::to_string(starts()) + " times";
    if (!t.limited && !t.killed && starts() > 1) wrong = "started again without a limit";
    const std::lock_guard lock(mutex_);
    ++counts[kind];
    if (kind == "value" && starts() > 1) ++counts["value after a limit"];
    if (!wrong.empty() && complaints.size() < 20) complaints.push_back(who + wrong);
  }

  const std::uint64_t tasks_;
  ledger book_;
  std::atomic<std::uint64_t> next_{0};
  std::mutex mutex_;
};

TEST(limit_storm_test, limits_that_race_with_the_end) {
  const std::uint64_t seed = setting("PROCPOOL_SEED", std::random_device{}());
  std::cout << "PROCPOOL_SEED=" << seed << std::endl;
  limit_storm storm(setting("PROCPOOL_LIMIT_TASKS", 1500));
  {
    process_pool_executor pool({.max_workers = 3});
    std::vector<std::jthread> users;
    for (std::uint64_t i = 0; i < 3; ++i) {
      users.emplace_back([&, i] { storm.submit_and_get(pool, seed + i); });
    }
  }
  for (const auto& [what, n] : storm.counts) std::cout << what << ": " << n << "\n";
  for (const std::string& text : storm.complaints) ADD_FAILURE() << text;
  // Twice the limit is over it, whatever the machine does meanwhile.
  EXPECT_GT(storm.counts["timeout"], 0);
}

}  // namespace
