// Random SIGKILLs, SIGSTOPs and SIGCONTs of workers, while several threads submit, wait, cancel and
// map. Afterwards: every future has resolved, with the right value or for a reason that is true;
// nothing ran twice; nothing that had not started is lost; nothing is left.
//
// PROCPOOL_KILLS, PROCPOOL_KILL_SECONDS and PROCPOOL_SEED make it longer, or the same again.

#include <csignal>
#include <cstdlib>
#include <deque>
#include <iostream>
#include <map>
#include <mutex>
#include <random>
#include <thread>

#include "chaos/killer.hpp"
#include "chaos/storm_tasks.hpp"
#include "support/pool_test.hpp"

namespace {

using namespace procpool;
using namespace procpool::testing;
using namespace std::chrono_literals;

constexpr int workers = 4;
constexpr std::uint64_t entries = std::uint64_t{1} << 26U;
constexpr std::uint64_t least_kills = 50;
constexpr duration unresolved_after = 60s;

std::uint64_t setting(const char* name, std::uint64_t usual) {
  const char* text = std::getenv(name);
  return text == nullptr ? usual : std::strtoull(text, nullptr, 10);
}

// What submitters share, and what they found.
class storm {
 public:
  explicit storm(process_pool_executor& p) : pool(p) {}

  storm_job next(std::uint32_t busy_us) { return {book.where(), next_id_.fetch_add(1), busy_us}; }
  std::uint64_t issued() const { return next_id_.load(); }
  // `settle` gives the value or throws the error of that task.
  template <class Settle>
  void check(std::uint64_t id, bool cancelled, bool killed, Settle settle) {
    const unsigned most = has_retries(id) ? 1 + storm_retries : 1;
    const auto started = [&] { return unsigned{book.starts(id).load()}; };
    const std::string who = "task " + std::to_string(id);
    try {
      const std::uint64_t value = value_in(settle());
      if (value != expected_value(id)) complain(who + ": wrong value");
      if (started() == 0 || started() > most) {
        complain(who + ": a value after " + std::to_string(started()) + " starts");
      }
      if (cancelled) complain(who + ": was cancelled and has a value");
      count("value");
    } catch (const worker_crashed& e) {
      if (started() > most) complain(who + ": crashed after " + std::to_string(started()));
      if (e.signal() != SIGKILL) complain(who + ": " + e.what());
      count("worker_crashed");
    } catch (const cancelled_error& e) {
      if (!cancelled && !killed) complain(who + ": nobody cancelled it");
      if (cancelled && !has_retries(id) && started() != 0) complain(who + ": cancelled and run");
      count("cancelled");
    } catch (const timeout_error&) {
      complain(who + ": lost");
    } catch (const std::exception& e) {
      complain(who + ": " + e.what());
    }
  }
  void count(const std::string& what) {
    const std::lock_guard lock(mutex_);
    ++counts_[what];
  }
  void complain(const std::string& text) {
    const std::lock_guard lock(mutex_);
    if (complaints_.size() < 20) complaints_.push_back(text);
    over = true;
  }
  std::vector<std::string> complaints() {
    const std::lock_guard lock(mutex_);
    return complaints_;
  }
  std::map<std::string, std::size_t> counts() {
    const std::lock_guard lock(mutex_);
    return counts_;
  }

  process_pool_executor& pool;
  ledger book{entries};
  std::atomic<bool> over{false};

 private:
  std::atomic<std::uint64_t> next_id_{0};
  std::mutex mutex_;
  std::map<std::string, std::size_t> counts_;
  std::vector<std::string> complaints_;
};

task_options options_for(std::uint64_t id) {
  return {.retries = has_retries(id) ? storm_retries : 0};
}

template <class R>
struct issued_task {
  std::uint64_t id;
  bool cancelled, killed;
  future<R> result;
};

template <class R>
void settle(storm& s, issued_task<R>& t) {
  s.check(t.id, t.cancelled, t.killed, [&] { return t.result.get_for(unresolved_after); });
}

// One future after the other, some cancelled, some killed while they run, some dropped.
template <class R>
void submit_and_get(storm& s, R (*function)(storm_job), std::uint32_t busy_us, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  while (!s.over) {
    std::deque<issued_task<R>> window;
    for (std::uint64_t left = 1 + random() % 128; left > 0; --left) {
      const storm_job job = s.next(busy_us);
      window.push_back({job.id, false, false, s.pool.submit(options_for(job.id), function, job)});
      issued_task<R>& t = window.back();
      const std::uint64_t dice = random() % 256;
      if (dice < 8) t.cancelled = t.result.cancel();
      if (dice == 8) t.killed = t.result.cancel(cancel_mode::kill_running);
      if (dice == 9) window.pop_back();
    }
    for (auto& t : window) settle(s, t);
  }
}

void complete_in_any_order(storm& s, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  while (!s.over) {
    std::vector<issued_task<std::uint64_t>> batch;
    for (std::uint64_t left = 1 + random() % 64; left > 0; --left) {
      const storm_job job = s.next(static_cast<std::uint32_t>(random() % 2 * 100));
      batch.push_back({job.id, false, false, s.pool.submit(options_for(job.id), storm_task, job)});
    }
    try {
      for (auto& t : as_completed(batch, &issued_task<std::uint64_t>::result, unresolved_after)) {
        settle(s, t);
      }
    } catch (const timeout_error& e) {
      s.complain(std::string("as_completed: ") + e.what());
    }
  }
}

void map_over_all(storm& s, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  while (!s.over) {
    std::vector<storm_job> jobs;
    const std::uint32_t busy = static_cast<std::uint32_t>(random() % 3 * 20);
    for (std::uint64_t left = 1 + random() % 512; left > 0; --left) {
      // Ids of tasks with retries are left to the others: a map has one option for all its items.
      storm_job job = s.next(busy);
      while (has_retries(job.id)) job = s.next(busy);
      jobs.push_back(job);
    }
    const bool leave_early = random() % 16 == 0;
    std::size_t seen = 0;
    map_options options{.timeout = unresolved_after, .ordered = random() % 2 == 0};
    try {
      for (auto&& o : s.pool.map(options, storm_task, jobs).outcomes()) {
        s.check(jobs[o.index()].id, false, false, [&] { return o.value(); });
        ++seen;
        if (leave_early && seen > jobs.size() / 2) break;
      }
      if (!leave_early && seen != jobs.size()) s.complain("map: items are missing");
    } catch (const std::exception& e) {
      s.complain(std::string("map: ") + e.what());
    }
  }
}

void run_storm(std::uint64_t kills, double seconds,
               const std::vector<std::function<void(storm&, std::uint64_t)>>& traffic) {
  const std::uint64_t seed = setting("PROCPOOL_SEED", std::random_device{}());
  std::cout << "PROCPOOL_SEED=" << seed << std::endl;
  process_pool_executor pool({.max_workers = workers});
  storm s(pool);
  const auto begin = std::chrono::steady_clock::now();
  // Soon again: what the traffic does between two kills costs time and finds nothing new.
  killer k(pool, s.over, seed, 1ms);
  {
    std::vector<std::jthread> submitters;
    for (const auto& submit : traffic) {
      submitters.push_back(
          storm_thread(s.over, [&s, &submit, n = seed + submitters.size()] { submit(s, n); }));
    }
    k.run(kills, begin + duration(seconds), least_kills);
    s.over = true;
  }
  // Whatever is left of cancelled maps and dropped futures is over when the pool is.
  pool.shutdown();
  std::size_t twice = 0;
  for (std::uint64_t id = 0; id < s.issued(); ++id) {
    if (s.book.starts(id) > (has_retries(id) ? 1 + storm_retries : 1)) ++twice;
  }
  const pool_stats stats = pool.stats();
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
  std::cout << k.killed() << " kills, " << stats.restarts << " restarts, " << s.issued()
            << " tasks in " << took.count() << " s\n";
  for (const auto& [what, n] : s.counts()) std::cout << "  resolved: " << what << ": " << n << "\n";
  for (const auto& [what, n] : k.states()) std::cout << "  at death: " << what << ": " << n << "\n";
  for (const std::string& c : s.complaints()) ADD_FAILURE() << c;
  EXPECT_EQ(twice, 0U) << "tasks ran more often than they may";
  EXPECT_LE(s.issued(), entries);
  EXPECT_GE(k.killed(), std::min(kills, least_kills)) << "too few kills to say anything";
  EXPECT_EQ(stats.pending + stats.running, 0U);
}

class kill_storm : public ::testing::Test {
 protected:
  kill_storm() : watchdog_(seconds() + 520s) { adopt_orphans(); }
  static duration seconds() {
    return duration(static_cast<double>(setting("PROCPOOL_KILL_SECONDS", 30)));
  }
  void SetUp() override {
    process_pool_executor(1).submit([] {}).get();
    begin_leak_check();
  }

 private:
  watchdog watchdog_;
};

TEST_F(kill_storm, every_future_resolves_once_and_nothing_runs_twice) {
  run_storm(setting("PROCPOOL_KILLS", 2000), seconds().count(),
            {[](storm& s, std::uint64_t n) { submit_and_get(s, &storm_task, 0, n); },
             [](storm& s, std::uint64_t n) { submit_and_get(s, &storm_task, 100, n); },
             [](storm& s, std::uint64_t n) { submit_and_get(s, &large_storm_task, 0, n); },
             &complete_in_any_order, &map_over_all});
}

// One task at a time: many workers die that have never run one. That is no reason to give up as
// long as others do.
TEST_F(kill_storm, a_pool_that_makes_progress_does_not_break) {
  run_storm(setting("PROCPOOL_KILLS", 2000) / 10, 10, {[](storm& s, std::uint64_t) {
              while (!s.over) {
                const storm_job job = s.next(0);
                issued_task<std::uint64_t> t{job.id, false, false,
                                             s.pool.submit(options_for(job.id), storm_task, job)};
                settle(s, t);
              }
            }});
}

}  // namespace
