// How pools and programs end: the behaviours that CPython's
// test_concurrent_futures/test_shutdown.py asks for, and what its users asked for beyond them. A
// test is named after the one it answers, without "test_"; several of them run a program
// (tests/programs/conformance_*.cpp) and look at what it prints and how it ends. Where procpool
// differs on purpose, a comment says so (docs/differences.md lists them all).
#include <sys/wait.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <set>
#include <sstream>

#include "conformance/meeting_point.hpp"

namespace {

using namespace procpool;
using namespace procpool::testing;
using namespace std::chrono_literals;

int twice(int x) { return 2 * x; }

int fails(int x) { throw std::runtime_error("task " + std::to_string(x)); }

std::set<pid_t> pids_of(const process_pool_executor& pool) {
  std::set<pid_t> pids;
  for (const worker_stats& w : pool.stats().workers) {
    if (w.pid != 0) pids.insert(w.pid);
  }
  return pids;
}

bool none_alive(const std::set<pid_t>& pids) { return std::ranges::none_of(pids, is_alive); }

std::string text_of(const std::string& path) {
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

class shutdown_test : public pool_test {
 protected:
  void SetUp() override {
    pool_test::SetUp();
    children_ = holdings::now().children;
  }

  // Starts conformance_<name> <start method> <scene> [folder], its output going to files.
  pid_t start_program(const std::string& name, const std::string& scene) {
    const std::string path = std::string(PROCPOOL_TEST_PROGRAMS_DIR) + "/conformance_" + name;
    const std::string method_name = name_of(method());
    const std::string out = at_("stdout"), err = at_("stderr"), folder = at_("");
    const pid_t pid = fork();
    if (pid == 0) {
      if (std::freopen(out.c_str(), "w", stdout) == nullptr) _exit(126);
      if (std::freopen(err.c_str(), "w", stderr) == nullptr) _exit(126);
      execl(path.c_str(), path.c_str(), method_name.c_str(), scene.c_str(), folder.c_str(),
            nullptr);
      _exit(127);
    }
    return pid;
  }
  // "exit 0" or "signal 9", then what it wrote.
  std::string end_of_program(pid_t pid) {
    int status = 0;
    bool ended = false;
    eventually(
        [&] {
          ended = waitpid(pid, &status, WNOHANG) == pid;
          return ended;
        },
        duration(30));
    if (!ended) {
      ::kill(pid, SIGKILL);
      waitpid(pid, &status, 0);
      return "does not end\n" + text_of(at_("stdout")) + text_of(at_("stderr"));
    }
    EXPECT_TRUE(orphans_end());
    std::string out = WIFEXITED(status) ? "exit " + std::to_string(WEXITSTATUS(status)) + "\n"
                                        : "signal " + std::to_string(WTERMSIG(status)) + "\n";
    return out + text_of(at_("stdout")) + text_of(at_("stderr"));
  }
  std::string run(const std::string& name, const std::string& scene) {
    return end_of_program(start_program(name, scene));
  }

  // Whatever the program leaves ends by itself; it belongs to this process, which reaps it.
  bool orphans_end() const {
    return eventually([this] {
      while (waitpid(-1, nullptr, WNOHANG) > 0) {
      }
      return holdings::now().children <= children_;
    });
  }

  const meeting_point at_;
  int children_ = 0;
};
PROCPOOL_FOR_EACH_START_METHOD(shutdown_test);

TEST_P(shutdown_test, run_after_shutdown) {
  process_pool_executor pool(options());
  pool.shutdown();
  EXPECT_THROW((void)pool.submit(twice, 2), shutdown_error);
  EXPECT_THROW((void)pool.map(twice, std::vector{1}), shutdown_error);
  pool.shutdown();
}

// The program returns from main; its pool is a static object.
TEST_P(shutdown_test, interpreter_shutdown) {
  EXPECT_EQ(run("exit", "return"), "exit 0\nmain ends\ntask runs\n");
}

// differs: a program that gives up does not wait for what it has not started; Python runs all of
// it, whatever the exit status is.
TEST_P(shutdown_test, exit_with_an_error) {
  EXPECT_EQ(run("exit", "fail"), "exit 1\nmain ends\nrunning one ends\n10 cancelled\n");
}

// differs: handlers run in the reverse order of their registration, and the pool's own is
// registered by the first submit: one from before finds the pool shut down, as in Python, and one
// from after can still use it.
TEST_P(shutdown_test, submit_after_interpreter_shutdown) {
  EXPECT_EQ(run("exit", "atexit"),
            "exit 0\nmain ends\nlater handler: 42\nearlier handler: shutdown_error\n");
}

TEST_P(shutdown_test, the_main_thread_ends) {
  EXPECT_EQ(run("exit", "main_thread_ends"), "exit 0\nother thread: 42\n");
}

// Nothing of what ends a program without ceremony is waited for, and nothing is left.
TEST_P(shutdown_test, underscore_exit_leaves_nothing) {
  const std::string out = run("exit", "underscore_exit");
  EXPECT_EQ(out, "exit 3\n");
  EXPECT_FALSE(exists(at_("ended")));
}

// differs: Python's workers outlive a parent that is killed (gh-111873).
TEST_P(shutdown_test, the_parent_is_killed) {
  const pid_t pid = start_program("exit", "wait_to_be_killed");
  EXPECT_TRUE(eventually([&] { return count_lines(at_("begun")) == 2; }));
  std::set<pid_t> workers;
  std::ifstream begun(at_("begun"));
  for (pid_t p = 0; begun >> p;) workers.insert(p);
  ::kill(pid, SIGKILL);
  EXPECT_EQ(end_of_program(pid), "signal 9\n");
  EXPECT_EQ(workers.size(), 2U);
  EXPECT_TRUE(none_alive(workers));
}

// differs: Python's workers take the interrupt for an error of their task, print it, and continue
// with the next task (gh-125886); here they do not notice it: the program decides.
TEST_P(shutdown_test, interrupt_from_the_terminal) {
  EXPECT_EQ(run("terminal", "default"), "exit 0\nended by signal 2\nprinted: ready\n");
  EXPECT_EQ(run("terminal", "handler"),
            "exit 0\nended by exit 5\nprinted: ready interrupted task result 1\n");
}

// The program forks with a live pool: the copy cannot use it, and its end does not disturb it.
TEST_P(shutdown_test, the_program_forks) {
  EXPECT_EQ(run("exit", "forks"),
            "exit 0\ncopy: nested_use_error\ncopy ended by exit 0\nparent: 42\n");
}

TEST_P(shutdown_test, no_thread_can_be_started) {
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
  GTEST_SKIP() << "the program replaces pthread_create, and so does the sanitizer";
#endif
  EXPECT_EQ(run("no_threads", ""), "exit 0\nsystem_error\n42\nsystem_error\nsystem_error 0\n7\n");
}

TEST_P(shutdown_test, hang_issue12364) {
  process_pool_executor pool(options(3));
  std::vector<future<int>> futures;
  for (int i = 0; i < 50; ++i) {
    futures.push_back(pool.submit(
        [](int x) {
          eventually([] { return false; }, duration(0.005));
          return x;
        },
        i));
  }
  pool.shutdown();
  for (int i = 0; i < 50; ++i) EXPECT_EQ(futures[static_cast<std::size_t>(i)].get(), i);
}

// differs: exactly what has begun runs on; in Python one more, which waits in the call queue.
TEST_P(shutdown_test, cancel_futures) {
  process_pool_executor pool(options(3));
  const opens_at_exit open(at_("gate"));
  std::vector<future<pid_t>> futures;
  for (int i = 0; i < 30; ++i) futures.push_back(pool.submit(pid_behind_gate, at_("gate")));
  ASSERT_TRUE(eventually([&] { return pool.stats().running == 3; }));
  pool.shutdown({.wait = false, .cancel_futures = true});
  const auto cancelled = std::ranges::count_if(futures, [](auto& f) { return f.cancelled(); });
  EXPECT_EQ(cancelled, 27);
  EXPECT_EQ(std::ranges::count_if(futures, [](auto& f) { return f.running(); }), 3);
  touch(at_("gate"));
  pool.shutdown();
  for (auto& f : futures) {
    ASSERT_TRUE(f.done());
    if (f.cancelled()) {
      EXPECT_THROW(f.get(), cancelled_error);
    } else {
      EXPECT_GT(f.get(), 0);
    }
  }
}

TEST_P(shutdown_test, cancel_futures_wait_false) {
  EXPECT_EQ(run("exit", "cancel_futures_wait_false"), "exit 0\nmain ends\nrunning one ends\n");
}

TEST_P(shutdown_test, hang_gh83386) {
  EXPECT_EQ(run("exit", "wait_false"), "exit 0\nmain ends\nrunning one ends\n");
}

TEST_P(shutdown_test, hang_gh94440) {
  for (int i = 0; i < 10; ++i) {
    process_pool_executor pool(options(2));
    EXPECT_EQ(pool.submit(twice, 2).get(), 4);
    auto f = pool.submit(twice, 3);
    const bool cancelled = f.cancel();
    pool.shutdown();
    EXPECT_TRUE(f.done());
    EXPECT_EQ(f.cancelled(), cancelled);
  }
}

TEST_P(shutdown_test, context_manager_shutdown) {
  std::set<pid_t> workers;
  {
    process_pool_executor pool(options(3));
    EXPECT_EQ(pool.map(twice, std::vector{-5, 0, 5}).to_vector(), (std::vector{-10, 0, 10}));
    ASSERT_TRUE(eventually([&] { return pids_of(pool).size() == 3; }));
    workers = pids_of(pool);
  }
  EXPECT_TRUE(none_alive(workers));
}

TEST_P(shutdown_test, del_shutdown) {
  auto pool = std::make_optional<process_pool_executor>(options(3));
  auto results = pool->map(twice, std::vector{-5, 0, 5});
  ASSERT_TRUE(eventually([&] { return pids_of(*pool).size() == 3; }));
  const std::set<pid_t> workers = pids_of(*pool);
  pool.reset();
  EXPECT_TRUE(none_alive(workers));
  EXPECT_EQ(results.to_vector(), (std::vector{-10, 0, 10}));
}

TEST_P(shutdown_test, shutdown_no_wait) {
  process_pool_executor pool(options(3));
  auto results = pool.map(twice, std::vector{-5, 0, 5});
  ASSERT_TRUE(eventually([&] { return pids_of(pool).size() == 3; }));
  const std::set<pid_t> workers = pids_of(pool);
  pool.shutdown({.wait = false});
  EXPECT_EQ(results.to_vector(), (std::vector{-10, 0, 10}));
  EXPECT_TRUE(eventually([&] { return none_alive(workers); }));
}

// What a map has not submitted yet cannot run any more; the rest can be read.
TEST_P(shutdown_test, shutdown_during_a_map) {
  process_pool_executor pool(options(2));
  std::vector<int> xs(20, 1);
  auto results = pool.map({.buffersize = 4}, twice, xs);
  pool.shutdown();
  std::size_t n = 0;
  EXPECT_THROW(
      {
        for (const int r : results) {
          EXPECT_EQ(r, 2);
          ++n;
        }
      },
      shutdown_error);
  EXPECT_EQ(n, 4U);
  EXPECT_EQ(results.begin(), results.end());
}

TEST_P(shutdown_test, processes_terminate) {
  process_pool_executor pool(options(4));
  std::vector<future<pid_t>> futures;
  for (int i = 0; i < 3; ++i) futures.push_back(pool.submit(pid_behind_gate, at_("gate")));
  EXPECT_TRUE(eventually([&] { return pool.stats().running == 3 && pids_of(pool).size() == 4; }));
  const std::set<pid_t> workers = pids_of(pool);
  touch(at_("gate"));
  pool.shutdown();
  EXPECT_TRUE(none_alive(workers));
  for (auto& f : futures) EXPECT_TRUE(workers.contains(f.get()));
}

// Cases 1 and 2: with two workers and with four.
TEST_P(shutdown_test, shutdown_gh_132969) {
  for (const int workers : {2, 4}) {
    pool_options o = options(workers);
    o.max_tasks_per_child = 1;
    process_pool_executor pool(std::move(o));
    std::vector<future<int>> futures;
    for (int i = 0; i < 3; ++i) futures.push_back(pool.submit(i == 0 ? fails : twice, i));
    EXPECT_THROW(futures[0].get(), std::runtime_error);
    pool.shutdown({.wait = false});
    EXPECT_EQ(futures[1].get(), 2);
    EXPECT_EQ(futures[2].get(), 4);
  }
}

// differs: Python has no shutdown with a deadline (gh-72165). What is not done by then is killed.
TEST_P(shutdown_test, shutdown_with_a_deadline) {
  process_pool_executor pool(options(1));
  auto running = pool.submit(between_gates, at_("begun"), at_("never"), at_("ended"));
  auto queued = pool.submit(twice, 1);
  ASSERT_TRUE(eventually([&] { return exists(at_("begun")); }));
  pool.shutdown({.timeout = 50ms});
  EXPECT_THROW(running.get(), worker_crashed);
  EXPECT_THROW(queued.get(), cancelled_error);
}

TEST_P(shutdown_test, a_deadline_that_holds) {
  process_pool_executor pool(options(1));
  auto f = pool.submit(twice, 1);
  pool.shutdown(30s);
  EXPECT_EQ(f.get(), 2);
}

TEST_P(shutdown_test, a_future_outlives_its_executor) {
  std::vector<future<int>> futures;
  {
    process_pool_executor pool(options(2));
    for (int i = 0; i < 100; ++i) futures.push_back(pool.submit(twice, i));
  }
  for (int i = 0; i < 100; ++i) EXPECT_EQ(futures[static_cast<std::size_t>(i)].get(), 2 * i);
}

// The executor is an object in static storage, made before main and destroyed after it.
// differs: an executor of the parent throws inside a task; Python deadlocks, or starts workers of
// workers.
TEST_P(shutdown_test, a_static_executor_and_nested_use) {
  EXPECT_EQ(run("static", ""), "exit 0\nmain: 42\ntask: nested_use_error\nmain ends\ntask runs\n");
}

}  // namespace
