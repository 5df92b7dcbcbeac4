// What a pool of processes does: the behaviours that CPython's
// test_concurrent_futures/test_process_pool.py asks for. A test is named after the one it answers,
// without "test_"; names that have no counterpart there stand for what its users asked for. Where
// procpool differs on purpose, a comment says so (docs/differences.md lists them all).
#include <sys/wait.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <cstdlib>
#include <fstream>
#include <mutex>
#include <numeric>
#include <set>
#include <thread>

#include "conformance/meeting_point.hpp"

namespace {

using namespace procpool;
using namespace procpool::testing;
using namespace std::chrono_literals;

int twice(int x) { return 2 * x; }

pid_t parent_of(pid_t pid) {
  std::ifstream stat("/proc/" + std::to_string(pid) + "/stat");
  std::string text;
  std::getline(stat, text);
  return std::stoi(text.substr(text.rfind(')') + 4));
}

std::set<pid_t> pids_of(const process_pool_executor& pool) {
  std::set<pid_t> pids;
  for (const worker_stats& w : pool.stats().workers) {
    if (w.pid != 0) pids.insert(w.pid);
  }
  return pids;
}

bool all_idle(const process_pool_executor& pool) {
  const pool_stats s = pool.stats();
  return std::ranges::all_of(s.workers,
                             [](const worker_stats& w) { return w.state == worker_state::idle; });
}

template <class F>
std::string error_of(F&& f) {
  try {
    f();
  } catch (const std::exception& e) {
    return e.what();
  }
  return "no error";
}

// Counts its objects, and makes a file when the last one is gone.
class counted {
 public:
  explicit counted(std::string path) : path_(std::move(path)) { ++alive; }
  counted(counted&& other) noexcept : path_(std::move(other.path_)) {
    other.path_.clear();
    ++alive;
  }
  counted& operator=(counted&&) = delete;
  ~counted() {
    if (--alive == 0 && this_worker::index() && !path_.empty()) touch(path_);
  }
  const std::string& path() const { return path_; }
  static inline int alive = 0;

 private:
  std::string path_;
};

int set_in_main = 0;

}  // namespace

template <>
struct procpool::codec<counted> {
  static std::string to_wire(const counted& c) { return c.path(); }
  static counted from_wire(std::string path) { return counted(std::move(path)); }
};

namespace {

class process_pool_conformance : public pool_test {
 protected:
  pool_options recycling(int workers, int tasks) const {
    pool_options o = options(workers);
    o.max_tasks_per_child = tasks;
    return o;
  }
};
PROCPOOL_FOR_EACH_START_METHOD(process_pool_conformance);

// differs: a worker's death costs the task that it ran; Python breaks the whole pool, with all
// tasks that wait or run elsewhere, and the program has to build another one.
TEST_P(process_pool_conformance, killed_child) {
  const meeting_point at;
  process_pool_executor pool(options(2));
  const opens_at_exit open(at("gate"));
  auto victim = pool.submit({.label = "victim"}, between_gates, at("begun"), at("never"), at("x"));
  ASSERT_TRUE(eventually([&] { return exists(at("begun")); }));
  pid_t pid = 0;
  ASSERT_TRUE(eventually([&] {
    for (const worker_stats& w : pool.stats().workers) {
      if (w.state == worker_state::busy) pid = w.pid;
    }
    return pid > 0;
  }));
  auto neighbour = pool.submit(between_gates, at("begun"), at("gate"), at("ended"));
  auto waiting = pool.submit(twice, 4);
  ASSERT_EQ(::kill(pid, SIGKILL), 0);
  try {
    victim.get();
    ADD_FAILURE() << "its worker is dead";
  } catch (const worker_crashed& e) {
    EXPECT_EQ(e.pid(), pid);
    EXPECT_EQ(e.signal(), SIGKILL);
    EXPECT_EQ(e.exit_code(), 0);
    EXPECT_EQ(e.label(), "victim");
  }
  EXPECT_EQ(waiting.get(), 8);
  EXPECT_EQ(pool.submit(twice, 5).get(), 10);
  touch(at("gate"));
  EXPECT_EQ(neighbour.get(), 1);
  EXPECT_EQ(pool.stats().failed, 1U);
}

// Each future that a broken pool takes along has an exception of its own.
TEST_P(process_pool_conformance, broken_process_pool_traceback) {
  const meeting_point at;
  pool_options o = options(1);
  o.initializer = invocation(partial(
      [](const std::string& gate) {
        wait_for(gate);
        throw std::runtime_error("no licence");
      },
      at("gate")));
  process_pool_executor pool(std::move(o));
  std::vector<future<int>> futures;
  for (int i = 0; i < 3; ++i) futures.push_back(pool.submit(twice, i));
  touch(at("gate"));
  std::vector<std::exception_ptr> errors;
  for (auto& f : futures) {
    errors.push_back(f.exception());
    EXPECT_THROW(f.get(), broken_process_pool);
  }
  EXPECT_NE(errors[0], errors[1]);
  EXPECT_NE(errors[1], errors[2]);
  EXPECT_NE(errors[0], errors[2]);
}

TEST_P(process_pool_conformance, map_chunksize) {
  process_pool_executor pool(options());
  std::vector<int> xs(40), expected(40);
  std::iota(xs.begin(), xs.end(), 0);
  std::ranges::transform(xs, expected.begin(), twice);
  for (const std::size_t chunksize : {std::size_t{6}, std::size_t{40}, std::size_t{50}}) {
    EXPECT_EQ(pool.map({.chunksize = chunksize}, twice, xs).to_vector(), expected);
  }
  EXPECT_THROW((void)pool.map({.chunksize = 0}, twice, xs), std::invalid_argument);
}

TEST_P(process_pool_conformance, traceback) {
  process_pool_executor pool(options());
  auto f = pool.submit({.label = "step 7"}, []() -> int { throw std::out_of_range("123"); });
  try {
    f.get();
    ADD_FAILURE() << "the task threw";
  } catch (const std::out_of_range& e) {
    EXPECT_STREQ(e.what(), "123");
    try {
      std::rethrow_if_nested(e);
      ADD_FAILURE() << "no remote_error is nested";
    } catch (const remote_error& r) {
      EXPECT_NE(r.where().find("worker"), std::string::npos) << r.where();
      EXPECT_NE(r.type_name().find("out_of_range"), std::string::npos) << r.type_name();
    }
  }
}

TEST_P(process_pool_conformance, traceback_when_child_process_terminates_abruptly) {
  process_pool_executor pool(options(1));
  const std::string worker = std::to_string(pool.submit(own_pid).get());
  auto f = pool.submit({.label = "step 7"}, []() -> int { _exit(99); });
  try {
    f.get();
    ADD_FAILURE() << "its worker has left";
  } catch (const worker_crashed& e) {
    EXPECT_EQ(e.exit_code(), 99);
    EXPECT_EQ(e.signal(), 0);
    EXPECT_EQ(e.what(), "worker " + worker +
                            " left with exit code 99 while it ran task 'step 7'; a task must "
                            "return or throw, not exit");
  }
}

TEST_P(process_pool_conformance, ressources_gced_in_workers) {
  const meeting_point at;
  process_pool_executor pool(options(1));
  auto f = pool.submit([](const counted& c) { return exists(c.path()); }, counted(at("destroyed")));
  EXPECT_FALSE(f.get());
  // No other task comes along.
  EXPECT_TRUE(eventually([&] { return exists(at("destroyed")); }));
  EXPECT_EQ(pool.submit([] { return counted::alive; }).get(), 0);
}

TEST_P(process_pool_conformance, saturation) {
  const meeting_point at;
  process_pool_executor pool(options(4));
  const opens_at_exit open(at("gate"));
  std::vector<future<pid_t>> futures;
  for (int i = 0; i < 15 * 4; ++i) futures.push_back(pool.submit(pid_behind_gate, at("gate")));
  EXPECT_TRUE(eventually([&] { return pool.stats().running == 4 && pids_of(pool).size() == 4; }));
  const std::set<pid_t> workers = pids_of(pool);
  EXPECT_EQ(workers.size(), 4U);
  EXPECT_EQ(pool.stats().pending, 14U * 4);
  touch(at("gate"));
  for (auto& f : futures) EXPECT_TRUE(workers.contains(f.get()));
  EXPECT_EQ(pids_of(pool), workers);
}

// differs: all workers start with the pool, and at once; Python starts them one by one as tasks
// find no idle one (fork: all at the first submit). The first tasks then pay for it, one after the
// other, and a measurement of a new pool is one of its start.
TEST_P(process_pool_conformance, idle_process_reuse_one) {
  process_pool_executor pool(options(4));
  EXPECT_TRUE(eventually([&] { return all_idle(pool); }));
  const std::set<pid_t> workers = pids_of(pool);
  EXPECT_EQ(workers.size(), 4U);
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(workers.contains(pool.submit(own_pid).get()));
  EXPECT_EQ(pids_of(pool), workers);
}

TEST_P(process_pool_conformance, idle_process_reuse_multiple) {
  process_pool_executor pool(options(3));
  EXPECT_TRUE(eventually([&] { return all_idle(pool); }));
  const std::set<pid_t> workers = pids_of(pool);
  std::vector<future<pid_t>> futures;
  for (int i = 0; i < 8; ++i) {
    futures.push_back(pool.submit(own_pid));
    if (i % 3 == 1) futures.back().wait();
  }
  for (auto& f : futures) EXPECT_TRUE(workers.contains(f.get()));
  EXPECT_EQ(pids_of(pool), workers);
  EXPECT_EQ(pool.stats().restarts, 0U);
}

// differs: max_tasks_per_child works with fork, too, since workers are never forked from this
// process while it runs, but from the pool's fork server; Python refuses it.
TEST_P(process_pool_conformance, max_tasks_per_child) {
  process_pool_executor pool(recycling(1, 3));
  const pid_t first = pool.submit(own_pid).get();
  EXPECT_EQ(pool.submit(own_pid).get(), first);
  EXPECT_EQ(pool.submit(own_pid).get(), first);
  EXPECT_NE(pool.submit(own_pid).get(), first);
  EXPECT_TRUE(eventually([&] { return !is_alive(first); }));
  EXPECT_THROW(process_pool_executor(recycling(1, 0)), std::invalid_argument);
  EXPECT_THROW(process_pool_executor(recycling(1, -1)), std::invalid_argument);
}

TEST_P(process_pool_conformance, max_tasks_per_child_pending_tasks_gh115634) {
  const std::pair<int, int> cases[] = {{1, 6}, {2, 8}};
  for (const auto& [workers, tasks] : cases) {
    process_pool_executor pool(recycling(workers, 2));
    std::vector<future<int>> futures;
    for (int i = 0; i < tasks; ++i) futures.push_back(pool.submit(twice, i));
    for (int i = 0; i < tasks; ++i) EXPECT_EQ(futures[static_cast<std::size_t>(i)].get(), 2 * i);
  }
}

// differs: the destructor does not wait after shutdown({.wait = false}), and what was submitted
// still runs; Python gives it up when the executor is collected meanwhile.
TEST_P(process_pool_conformance, shutdown_no_wait_max_tasks_gh119592) {
  std::vector<future<int>> futures;
  {
    process_pool_executor pool(recycling(1, 1));
    for (int i = 0; i < 6; ++i) futures.push_back(pool.submit(twice, i));
    pool.shutdown({.wait = false});
    EXPECT_EQ(futures[0].get(), 0);
  }
  for (int i = 1; i < 6; ++i) EXPECT_EQ(futures[static_cast<std::size_t>(i)].get(), 2 * i);
}

TEST_P(process_pool_conformance, gc_during_max_tasks_worker_exit_gh152967) {
  std::vector<future<int>> futures;
  {
    process_pool_executor pool(recycling(1, 1));
    for (int i = 0; i < 6; ++i) futures.push_back(pool.submit(twice, i));
  }
  for (auto& f : futures) EXPECT_TRUE(f.done());
  for (int i = 0; i < 6; ++i) EXPECT_EQ(futures[static_cast<std::size_t>(i)].get(), 2 * i);
}

TEST_P(process_pool_conformance, force_shutdown_during_max_tasks_worker_exit) {
  const meeting_point at;
  process_pool_executor pool(recycling(1, 1));
  auto running = pool.submit(between_gates, at("begun"), at("never"), at("ended"));
  std::vector<future<int>> queued;
  for (int i = 0; i < 4; ++i) queued.push_back(pool.submit(twice, i));
  ASSERT_TRUE(eventually([&] { return exists(at("begun")); }));
  pool.kill_workers();
  EXPECT_THROW(running.get(), worker_crashed);
  for (auto& f : queued) EXPECT_THROW(f.get(), cancelled_error);
  EXPECT_TRUE(eventually([&] { return pids_of(pool).empty(); }));
  EXPECT_EQ(pool.stats().restarts, 0U);
}

// The fork server, without which no worker can be replaced, dies.
// differs: with spawn and forkserver the pool gets another one and continues; with fork it breaks,
// as Python's does, because a process that has moved on cannot be forked as it was.
TEST_P(process_pool_conformance, failed_worker_replacement_breaks_pool) {
  const meeting_point at;
  const int children = holdings::now().children;
  {
    process_pool_executor pool(options(1));
    auto running = pool.submit(between_gates, at("begun"), at("never"), at("ended"));
    auto queued = pool.submit(twice, 21);
    ASSERT_TRUE(eventually([&] { return exists(at("begun")); }));
    ASSERT_TRUE(eventually([&] { return pids_of(pool).size() == 1; }));
    const pid_t server = parent_of(*pids_of(pool).begin());
    ASSERT_GT(server, 1);
    ASSERT_NE(server, getpid());
    ASSERT_EQ(::kill(server, SIGKILL), 0);
    EXPECT_THROW(running.get(), worker_crashed);
    if (method() == start_method::fork) {
      EXPECT_THROW(queued.get(), broken_process_pool);
      const std::string why = error_of([&] { (void)pool.submit(twice, 1); });
      EXPECT_NE(why.find("fork server"), std::string::npos) << why;
    } else {
      EXPECT_EQ(queued.get(), 42);
    }
  }
  // What the server forked in its last moment, without telling, is for the process that adopts
  // orphans to reap, which usually is process 1, and here this one.
  EXPECT_TRUE(eventually([&] {
    while (waitpid(-1, nullptr, WNOHANG) > 0) {
    }
    return holdings::now().children <= children;
  }));
}

TEST_P(process_pool_conformance, max_tasks_early_shutdown) {
  process_pool_executor pool(recycling(3, 1));
  std::vector<future<int>> futures;
  for (int i = 0; i < 6; ++i) futures.push_back(pool.submit(twice, i));
  pool.shutdown();
  for (int i = 0; i < 6; ++i) EXPECT_EQ(futures[static_cast<std::size_t>(i)].get(), 2 * i);
}

TEST_P(process_pool_conformance, force_shutdown_workers) {
  for (const int signal : {SIGTERM, SIGKILL}) {
    const meeting_point at;
    process_pool_executor pool(options(1));
    auto f = pool.submit(between_gates, at("begun"), at("never"), at("ended"));
    ASSERT_TRUE(eventually([&] { return exists(at("begun")); }));
    ASSERT_TRUE(eventually([&] { return pids_of(pool).size() == 1; }));
    const pid_t worker = *pids_of(pool).begin();
    signal == SIGTERM ? pool.terminate_workers() : pool.kill_workers();
    EXPECT_TRUE(eventually([&] { return !is_alive(worker); }));
    try {
      f.get();
      ADD_FAILURE() << "its worker was ended";
    } catch (const worker_crashed& e) {
      EXPECT_EQ(e.signal(), signal);
      const std::string by = signal == SIGTERM ? "15 (SIGTERM)" : "9 (SIGKILL)";
      EXPECT_EQ(e.what(), "worker " + std::to_string(worker) + " was ended by signal " + by +
                              " with the whole pool (kill_workers, terminate_workers, shutdown's "
                              "timeout) while it ran its task");
    }
    EXPECT_FALSE(exists(at("ended")));
  }
}

// On a pool that is broken already.
TEST_P(process_pool_conformance, force_shutdown_workers_dead_workers) {
  pool_options o = options(1);
  o.initializer = invocation([] { throw std::runtime_error("broken from the start"); });
  process_pool_executor pool(std::move(o));
  EXPECT_TRUE(eventually([&] {
    try {
      (void)pool.submit(twice, 1);
      return false;
    } catch (const broken_process_pool&) {
      return true;
    }
  }));
  EXPECT_NO_THROW(pool.terminate_workers());
  EXPECT_NO_THROW(pool.kill_workers());
}

// differs: the workers exist from the start, so that there is something to end before the first
// submit.
TEST_P(process_pool_conformance, force_shutdown_workers_not_started_yet) {
  for (const bool kill : {false, true}) {
    process_pool_executor pool(options(2));
    kill ? pool.kill_workers() : pool.terminate_workers();
    EXPECT_TRUE(eventually([&] { return pids_of(pool).empty(); }));
  }
}

TEST_P(process_pool_conformance, force_shutdown_workers_stops_pool) {
  for (const bool kill : {false, true}) {
    process_pool_executor pool(options(2));
    const pid_t worker = pool.submit(own_pid).get();
    kill ? pool.kill_workers() : pool.terminate_workers();
    EXPECT_THROW((void)pool.submit(twice, 1), shutdown_error);
    EXPECT_TRUE(eventually([&] { return !is_alive(worker); }));
    pool.shutdown();
  }
}

// Python stalls: it calls back on the thread that hands out the work.
TEST_P(process_pool_conformance, a_slow_callback_does_not_stall_tasks) {
  const meeting_point at;
  process_pool_executor pool(options(1));
  std::atomic<bool> over{false};
  pool.submit(twice, 1).on_done([&over, gate = at("gate")](const future<int>&) {
    wait_for(gate);
    over = true;
  });
  for (int i = 0; i < 100; ++i) EXPECT_EQ(pool.submit(twice, i).get(), 2 * i);
  EXPECT_FALSE(over);
  touch(at("gate"));
  EXPECT_TRUE(eventually([&] { return over.load(); }));
}

// Python deadlocks: it calls back under the lock that submit takes.
TEST_P(process_pool_conformance, a_callback_submits_while_the_pool_breaks) {
  const meeting_point at;
  pool_options o = options(1);
  o.initializer = invocation(partial(
      [](const std::string& gate) {
        wait_for(gate);
        throw std::runtime_error("no licence");
      },
      at("gate")));
  process_pool_executor pool(std::move(o));
  auto f = pool.submit(twice, 1);
  std::atomic<int> refused{0};
  f.on_done([&](const future<int>&) {
    try {
      (void)pool.submit(twice, 2);
    } catch (const broken_process_pool&) {
      ++refused;
    }
  });
  touch(at("gate"));
  EXPECT_TRUE(eventually([&] { return refused == 1; }));
}

TEST_P(process_pool_conformance, a_callback_submits_again) {
  process_pool_executor pool(options(2));
  std::atomic<int> last{0};
  std::optional<future<int>> second;
  std::mutex mutex;
  pool.submit(twice, 1).on_done([&](const future<int>&) {
    future<int> next = pool.submit(twice, 20);
    next.on_done([&](const future<int>&) { last = 1; });
    const std::lock_guard lock(mutex);
    second = std::move(next);
  });
  EXPECT_TRUE(eventually([&] { return last == 1; }));
  const std::lock_guard lock(mutex);
  EXPECT_EQ(second->get(), 40);
}

// More tasks than there may be unfinished ones, with a bound on their bytes: the submitting thread
// waits, and memory does not grow with the tasks.
TEST_P(process_pool_conformance, many_submits_in_bounded_memory) {
  constexpr int tasks = 20'000;
  pool_options o = options(2);
  o.max_pending_bytes = 1'000'000;
  process_pool_executor pool(std::move(o));
  completion_queue<std::size_t> results;
  std::size_t sum = 0;
  std::size_t most = 0;
  for (int i = 0; i < tasks; ++i) {
    results.add(pool.submit([](std::string_view s) { return s.size(); }, std::string(1000, 'x')));
    if (i % 1000 == 999) most = std::max(most, pool.stats().pending);
    while (results.size() > 4000) sum += results.next()->get();
  }
  while (auto f = results.next()) sum += f->get();
  EXPECT_EQ(sum, 1000U * tasks);
  EXPECT_LE(most, 1100U);
}

// The documented use of one executor by several threads.
TEST_P(process_pool_conformance, submits_from_many_threads) {
  process_pool_executor pool(options(2));
  std::atomic<int> wrong{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 8; ++t) {
    threads.emplace_back([&pool, &wrong, t] {
      std::vector<future<int>> futures;
      for (int i = 0; i < 200; ++i) futures.push_back(pool.submit(twice, 1000 * t + i));
      for (int i = 0; i < 200; ++i) {
        if (futures[static_cast<std::size_t>(i)].get() != 2 * (1000 * t + i)) ++wrong;
      }
    });
  }
  for (auto& t : threads) t.join();
  EXPECT_EQ(wrong, 0);
  EXPECT_EQ(pool.stats().done, 1600U);
}

TEST_P(process_pool_conformance, several_pools_at_once) {
  process_pool_executor a(options(1)), b(options(2));
  auto c = std::make_optional<process_pool_executor>(options(1));
  std::set<pid_t> pids{a.submit(own_pid).get(), b.submit(own_pid).get(), c->submit(own_pid).get()};
  EXPECT_EQ(pids.size(), 3U);
  std::vector<future<int>> futures;
  for (int i = 0; i < 30; ++i) {
    futures.push_back((i % 3 == 0 ? a : i % 3 == 1 ? b : *c).submit(twice, i));
  }
  c.reset();
  for (int i = 0; i < 30; ++i) EXPECT_EQ(futures[static_cast<std::size_t>(i)].get(), 2 * i);
  EXPECT_EQ(a.submit(twice, 1).get() + b.submit(twice, 2).get(), 6);
}

class default_start_method : public leak_free_test {
 protected:
  void SetUp() override {
    process_pool_executor(1).submit(own_pid).wait();  // what a process has once
    leak_free_test::SetUp();
  }
};

// differs: the default is spawn in every case; Python chooses spawn for max_tasks_per_child, and
// otherwise what the platform has (forkserver since 3.14, fork before).
TEST_F(default_start_method, max_tasks_per_child_defaults_to_spawn_context) {
  set_in_main = 7;
  for (const std::optional<int> limit : {std::optional<int>{}, {1}}) {
    process_pool_executor pool({.max_workers = 1, .max_tasks_per_child = limit});
    EXPECT_EQ(pool.submit([] { return set_in_main; }).get(), 0);
  }
  set_in_main = 0;
}

}  // namespace
