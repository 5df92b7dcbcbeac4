// Threads: the behaviours that CPython's test_concurrent_futures asks for, from test_thread_pool.py
// and, as far as threads differ from processes, from test_shutdown.py, test_init.py, test_wait.py
// and test_future.py. A test is named after the one it answers, without "test_". What holds for all
// executors alike is in api/executors_test.cpp.
#include <pthread.h>
#include <sys/wait.h>

#include <atomic>
#include <latch>
#include <numeric>
#include <regex>
#include <semaphore>
#include <set>
#include <sstream>
#include <thread>

#include "conformance/meeting_point.hpp"

namespace {

using namespace procpool;
using namespace procpool::testing;
using namespace std::chrono_literals;

std::string name_of_this_thread() {
  char name[16] = {};
  pthread_getname_np(pthread_self(), name, sizeof name);
  return name;
}

// Lets tasks through when it is opened, at the latest at the end of the test.
class gate {
 public:
  ~gate() { open(); }
  void open() {
    const std::lock_guard lock(mutex_);
    open_ = true;
    opened_.notify_all();
  }
  // Returns how many have come so far.
  void pass() {
    std::unique_lock lock(mutex_);
    ++waiting_;
    opened_.wait(lock, [this] { return open_; });
  }
  int waiting() {
    const std::lock_guard lock(mutex_);
    return waiting_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable opened_;
  bool open_ = false;
  int waiting_ = 0;
};

std::size_t threads_of(const thread_pool_executor& pool) { return pool.stats().workers.size(); }

class thread_pool_test : public leak_free_test {};

TEST_F(thread_pool_test, default_workers) {
  const thread_pool_executor pool;
  EXPECT_GE(pool.max_workers(), 5);
  EXPECT_LE(pool.max_workers(), 32);
  EXPECT_EQ(threads_of(pool), 0U);
}

TEST_F(thread_pool_test, max_workers_negative) {
  for (const int n : {0, -1}) EXPECT_THROW(thread_pool_executor pool(n), std::invalid_argument);
}

TEST_F(thread_pool_test, saturation) {
  gate door;
  thread_pool_executor pool(4);
  std::vector<future<void>> all;
  for (int i = 0; i < 60; ++i) all.push_back(pool.submit([&] { door.pass(); }));
  EXPECT_EQ(threads_of(pool), 4U);
  EXPECT_TRUE(eventually([&] { return door.waiting() == 4; }));
  EXPECT_EQ(pool.stats().pending, 56U);
  EXPECT_EQ(pool.stats().running, 4U);
  door.open();
  for (auto& f : all) f.get();
  EXPECT_EQ(threads_of(pool), 4U);
}

// differs: CPython's own test has to wait for the thread to say that it is idle; here a thread is
// idle before its future is done.
TEST_F(thread_pool_test, idle_thread_reuse) {
  thread_pool_executor pool(4);
  for (int i = 0; i < 200; ++i) EXPECT_EQ(pool.submit([i] { return i; }).get(), i);
  EXPECT_EQ(threads_of(pool), 1U);
}

TEST_F(thread_pool_test, thousands_of_threads) {
  constexpr int many = 2000;
  std::latch all_here(many);
  thread_pool_executor pool(many);
  pool.for_each(
      {.chunksize = 1}, [&](int) { all_here.arrive_and_wait(); }, std::views::iota(0, many));
  EXPECT_EQ(threads_of(pool), static_cast<std::size_t>(many));
}

TEST_F(thread_pool_test, map_submits_without_iteration) {
  std::atomic<int> finished = 0;
  thread_pool_executor pool(4);
  auto results = pool.map([&](int x) { return finished += x; }, {1, 1, 1, 1, 1});
  EXPECT_TRUE(eventually([&] { return finished == 5; }));
}

// With one thread, what comes after the item that is awaited has not begun.
TEST_F(thread_pool_test, executor_map_current_future_cancel) {
  gate door;
  std::atomic<int> begun = 0;
  thread_pool_executor pool(1);
  auto block = pool.submit([&] { door.pass(); });
  auto results = pool.map({.chunksize = 1, .timeout = 0s},
                          [&](int x) {
                            ++begun;
                            return x;
                          },
                          {1, 2});
  EXPECT_THROW(results.begin(), timeout_error);
  door.open();
  block.get();
  pool.shutdown();
  EXPECT_EQ(begun, 0);
}

TEST_F(thread_pool_test, captures_and_values_that_cannot_travel) {
  thread_pool_executor pool(2);
  int changed = 0;
  pool.submit([&changed](int by) { changed += by; }, 3).get();
  EXPECT_EQ(changed, 3);
  pool.submit([](int& x) { x = 4; }, std::ref(changed)).get();
  EXPECT_EQ(changed, 4);
  auto f = pool.submit([p = std::make_unique<int>(6)]() mutable { return std::move(p); });
  EXPECT_EQ(*f.get(), 6);
  int* where = pool.submit([&] { return &changed; }).get();
  EXPECT_EQ(where, &changed);
  auto make = pool.submit([](int x) { return std::function<int()>([x] { return x; }); }, 7);
  EXPECT_EQ(make.get()(), 7);
  std::vector<int> row(3);
  pool.submit([](std::span<int> s) { std::iota(s.begin(), s.end(), 1); }, std::span(row)).get();
  EXPECT_EQ(row, (std::vector{1, 2, 3}));
  const std::string base = "x";
  EXPECT_EQ(pool.map([&](std::size_t n) { return std::string_view(base).substr(0, n); }, {0U, 1U})
                .to_vector()[1],
            "x");
  EXPECT_EQ(pool.map_reduce([&](int n) { return n + changed; }, [&](int a, int b) { return a + b; },
                            {1, 2, 3}),
            18);
  struct moves {
    explicit moves(int v) : value(v) {}
    moves(moves&&) = default;
    moves& operator=(moves&&) = default;
    int value;
  };
  EXPECT_EQ(pool.submit(&moves::value, moves(9)).get(), 9);
  EXPECT_EQ(pool.submit([] { return moves(8); }).share().get().value, 8);
}

// What a thread throws comes as it is, whatever its type, and once.
TEST_F(thread_pool_test, swallows_falsey_exceptions) {
  struct own {
    int code;
  };
  thread_pool_executor pool(1);
  try {
    pool.submit([] { throw own{7}; }).get();
    ADD_FAILURE();
  } catch (const own& e) {
    EXPECT_EQ(e.code, 7);
  }
  EXPECT_THROW(pool.submit([] { throw 0; }).get(), int);
}

// The callable and its arguments are gone when the future is done.
TEST_F(thread_pool_test, no_stale_references) {
  gate door;
  thread_pool_executor pool(1);
  const auto captured = std::make_shared<int>(1), passed = std::make_shared<int>(2);
  auto f =
      pool.submit([captured](const std::shared_ptr<int>& p) { return *captured + *p; }, passed);
  f.wait();
  EXPECT_EQ(captured.use_count(), 1);
  EXPECT_EQ(passed.use_count(), 1);
  EXPECT_EQ(f.get(), 3);
  auto results = pool.map(
      {.chunksize = 2}, [captured](std::shared_ptr<int> p) { return *p; },
      std::vector{passed, passed});
  EXPECT_EQ(results.to_vector(), (std::vector{2, 2}));
  EXPECT_EQ(passed.use_count(), 1);
  auto block = pool.submit([&] { door.pass(); });
  auto waiting = pool.submit([captured] {});
  EXPECT_TRUE(waiting.cancel());
  EXPECT_EQ(captured.use_count(), 2);  // that of the map is left
  door.open();
}

TEST_F(thread_pool_test, cancel) {
  gate door;
  thread_pool_executor pool(1);
  auto running = pool.submit([&] { door.pass(); });
  EXPECT_TRUE(eventually([&] { return running.running(); }));
  auto waiting = pool.submit([] { ADD_FAILURE(); });
  EXPECT_FALSE(waiting.running());
  EXPECT_FALSE(running.cancel());
  EXPECT_FALSE(running.cancel(cancel_mode::kill_running));
  EXPECT_TRUE(waiting.cancel());
  EXPECT_TRUE(waiting.cancel());
  EXPECT_TRUE(waiting.done() && waiting.cancelled());
  EXPECT_THROW(waiting.get(), cancelled_error);
  door.open();
  running.get();
}

TEST_F(thread_pool_test, options_that_need_processes_are_refused) {
  thread_pool_executor pool(1);
  EXPECT_THROW((void)pool.submit({.retries = 1}, [] {}), std::invalid_argument);
  EXPECT_THROW(pool.for_each({.task = {.retries = 1}}, [](int) {}, {1}), std::invalid_argument);
  EXPECT_THROW(pool.shutdown({.timeout = 1s}), std::invalid_argument);
  EXPECT_EQ(pool.submit([] { return 1; }).get(), 1);
}

// --- test_wait.py, test_init.py ------------------------------------------------------------------

TEST_F(thread_pool_test, pending_calls_race) {
  gate door;
  thread_pool_executor pool(20);
  std::vector<future<void>> all;
  for (int i = 0; i < 100; ++i) all.push_back(pool.submit([&] { door.pass(); }));
  EXPECT_TRUE(eventually([&] { return door.waiting() == 20; }));
  std::jthread opener([&] { door.open(); });
  EXPECT_EQ(wait(all).done.size(), 100U);
}

TEST_F(thread_pool_test, initializer) {
  static thread_local int mine = 0;
  std::atomic<int> runs = 0;
  thread_pool_executor pool({.max_workers = 3, .initializer = [&] { mine = ++runs; }});
  std::latch together(3);
  std::set<int> seen;
  for (const int x : pool.map({.chunksize = 1},
                              [&](int) {
                                together.arrive_and_wait();
                                return mine;
                              },
                              {0, 0, 0})) {
    seen.insert(x);
  }
  EXPECT_EQ(seen, (std::set{1, 2, 3}));
  EXPECT_EQ(runs, 3);
}

TEST_F(thread_pool_test, failing_initializer) {
  gate door;
  thread_pool_executor pool({.max_workers = 1, .initializer = [&] {
                               door.pass();
                               throw std::runtime_error("no connection");
                             }});
  auto first = pool.submit([] { return 1; }), second = pool.submit([] { return 1; });
  door.open();
  for (auto* f : {&first, &second}) {
    try {
      f->get();
      ADD_FAILURE();
    } catch (const broken_thread_pool& e) {
      EXPECT_NE(std::string(e.what()).find("no connection"), std::string::npos) << e.what();
    }
  }
  EXPECT_THROW((void)pool.submit([] {}), broken_executor);
}

// --- test_shutdown.py ----------------------------------------------------------------------------

TEST_F(thread_pool_test, run_after_shutdown) {
  thread_pool_executor pool(1);
  pool.shutdown();
  EXPECT_THROW((void)pool.submit([] {}), shutdown_error);
}

TEST_F(thread_pool_test, hang_issue12364) {
  thread_pool_executor pool(5);
  std::vector<future<int>> all;
  for (int i = 0; i < 50; ++i) all.push_back(pool.submit([i] { return i; }));
  pool.shutdown();
  for (int i = 0; i < 50; ++i) EXPECT_EQ(all[static_cast<std::size_t>(i)].get(), i);
}

TEST_F(thread_pool_test, hang_gh94440) {
  thread_pool_executor pool(1);
  auto f = pool.submit([] {});
  auto g = pool.submit([] {});
  g.cancel();
  pool.shutdown();
  EXPECT_TRUE(f.done() && g.done());
}

TEST_F(thread_pool_test, cancel_futures) {
  gate door;
  thread_pool_executor pool(5);
  std::vector<future<void>> all;
  for (int i = 0; i < 50; ++i) all.push_back(pool.submit([&] { door.pass(); }));
  EXPECT_TRUE(eventually([&] { return door.waiting() == 5; }));
  all.back().on_done([&](const future<void>&) { door.open(); });
  pool.shutdown({.cancel_futures = true});
  EXPECT_EQ(std::ranges::count_if(all, [](auto& f) { return f.cancelled(); }), 45);
  EXPECT_TRUE(std::ranges::all_of(all, [](auto& f) { return f.done(); }));
}

TEST_F(thread_pool_test, threads_terminate) {
  const int before = holdings::now().threads;
  gate door;
  thread_pool_executor pool(8);
  std::vector<future<void>> all;
  for (int i = 0; i < 3; ++i) all.push_back(pool.submit([&] { door.pass(); }));
  EXPECT_EQ(threads_of(pool), 3U);
  EXPECT_EQ(holdings::now().threads, before + 3);
  door.open();
  pool.shutdown();
  EXPECT_TRUE(eventually([&] { return holdings::now().threads == before; }));
}

TEST_F(thread_pool_test, context_manager_shutdown) {
  std::vector<future<int>> all;
  {
    thread_pool_executor pool(5);
    for (int i = 0; i < 20; ++i) all.push_back(pool.submit([i] { return i; }));
  }
  for (auto& f : all) EXPECT_TRUE(f.done());
}

TEST_F(thread_pool_test, an_exception_that_leaves_the_scope_cancels) {
  gate door;
  std::vector<future<void>> all;
  try {
    thread_pool_executor pool(1);
    for (int i = 0; i < 5; ++i) all.push_back(pool.submit([&] { door.pass(); }));
    EXPECT_TRUE(eventually([&] { return door.waiting() == 1; }));
    all.back().on_done([&](const future<void>&) { door.open(); });
    throw std::logic_error("leaves the scope");
  } catch (const std::logic_error&) {
  }
  all.front().get();
  for (std::size_t i = 1; i < all.size(); ++i) EXPECT_TRUE(all[i].cancelled());
}

// After shutdown without waiting the destructor does not wait, either, and all of it runs.
TEST_F(thread_pool_test, del_shutdown) {
  gate door;
  std::vector<future<void>> all;
  {
    thread_pool_executor pool(2);
    for (int i = 0; i < 6; ++i) all.push_back(pool.submit([&] { door.pass(); }));
    pool.shutdown({.wait = false});
    EXPECT_THROW((void)pool.submit([] {}), shutdown_error);
  }
  EXPECT_FALSE(all.back().done());
  door.open();
  for (auto& f : all) f.get();
}

TEST_F(thread_pool_test, a_map_outlives_its_executor) {
  std::optional<map_results<int>> results;
  {
    thread_pool_executor pool(2);
    results = pool.map({.buffersize = 4}, [](int x) { return x; }, std::views::iota(0));
  }
  int n = 0;
  EXPECT_THROW(for (const int x : *results) EXPECT_EQ(x, n++), shutdown_error);
  EXPECT_GE(n, 4);
}

TEST_F(thread_pool_test, shutdown_by_a_task_of_the_pool) {
  thread_pool_executor pool(2);
  pool.submit([&] { pool.shutdown(); }).get();
  EXPECT_THROW((void)pool.submit([] {}), shutdown_error);
}

TEST_F(thread_pool_test, thread_names_assigned) {
  thread_pool_executor pool({.max_workers = 5, .name = "special"});
  std::latch together(5);
  std::set<std::string> names;
  for (const std::string& name : pool.map(
           {.chunksize = 1},
           [&](int) {
             together.arrive_and_wait();
             return name_of_this_thread();
           },
           std::views::iota(0, 5))) {
    names.insert(name);
  }
  EXPECT_EQ(names, (std::set<std::string>{"special_0", "special_1", "special_2", "special_3",
                                          "special_4"}));
  thread_pool_executor long_name({.max_workers = 1, .name = "a name that is too long"});
  EXPECT_EQ(long_name.submit(name_of_this_thread).get(), "a name that i_0");
}

TEST_F(thread_pool_test, thread_names_default) {
  thread_pool_executor pool(1);
  EXPECT_TRUE(
      std::regex_match(pool.submit(name_of_this_thread).get(), std::regex("threads-[0-9]+_0")));
}

// --- a pool and its own tasks --------------------------------------------------------------------

// differs: in Python the last of them waits for ever.
TEST_F(thread_pool_test, waiting_for_the_own_pool) {
  thread_pool_executor pool(2);
  // As long as a thread is left, a task may wait for another one.
  EXPECT_EQ(pool.submit([&] { return pool.submit([] { return 5; }).get(); }).get(), 5);
  thread_pool_executor one(1);
  EXPECT_THROW(one.submit([&] { return one.submit([] { return 5; }).get(); }).get(),
               nested_use_error);
  // Both threads: exactly the second one gets the error, which lets the first one continue.
  std::latch both(2);
  const auto wait_for_another = [&] {
    both.arrive_and_wait();
    try {
      return pool.submit([] { return 1; }).get();
    } catch (const nested_use_error&) {
      return 100;
    }
  };
  auto f = pool.submit(wait_for_another), g = pool.submit(wait_for_another);
  const int sum = f.get() + g.get();
  EXPECT_TRUE(sum == 2 || sum == 101) << sum;
}

// --- other processes -----------------------------------------------------------------------------

int exit_code_of(pid_t child) {
  int status = 0;
  waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

TEST_F(thread_pool_test, hang_global_shutdown_lock) {
  thread_pool_executor pool(2);
  std::atomic<bool> over = false;
  auto busy = pool.submit([&] {
    while (!over) pool.submit([] {}).get();
  });
  for (int i = 0; i < 20; ++i) {
    const pid_t child = fork();
    if (child == 0) _exit(0);
    EXPECT_EQ(exit_code_of(child), 0);
  }
  over = true;
  busy.get();
}

// The copy has neither the threads nor the pool, and says so.
TEST_F(thread_pool_test, process_fork_from_a_threadpool) {
  auto pool = std::make_unique<thread_pool_executor>(2);
  const int code = pool->submit([&] {
                         const pid_t child = fork();
                         if (child != 0) return exit_code_of(child);
                         int result = 1;
                         try {
                           (void)pool->submit([] {});
                         } catch (const nested_use_error&) {
                           result = 17;
                         }
                         pool.reset();
                         _exit(result);
                       })
                       .get();
  EXPECT_EQ(code, 17);
}

class exit_test : public leak_free_test {
 protected:
  // "exit 0", then what it printed.
  std::string run(const std::string& scene) {
    const std::string path = std::string(PROCPOOL_TEST_PROGRAMS_DIR) + "/threads_exit";
    const std::string out = at_("out"), folder = at_("");
    const pid_t pid = fork();
    if (pid == 0) {
      if (std::freopen(out.c_str(), "w", stdout) == nullptr) _exit(126);
      execl(path.c_str(), path.c_str(), scene.c_str(), folder.c_str(), nullptr);
      _exit(127);
    }
    const int code = exit_code_of(pid);
    std::ifstream file(out);
    std::stringstream text;
    text << "exit " << code << "\n" << file.rdbuf();
    return text.str();
  }
  const meeting_point at_;
};

TEST_F(exit_test, interpreter_shutdown) { EXPECT_EQ(run("return"), "exit 0\nmain ends\ntask\n"); }
TEST_F(exit_test, hang_gh83386) { EXPECT_EQ(run("no_wait"), "exit 0\nmain ends\ntask\n"); }
TEST_F(exit_test, submit_after_interpreter_shutdown) {
  EXPECT_EQ(run("handler"), "exit 0\nmain ends\ntask\nshutdown_error\n");
}
TEST_F(exit_test, cancel_futures_wait_false) {
  EXPECT_EQ(run("cancel"), "exit 0\nmain ends\ntask\n");
}
// What runs ends, what waits does not begin.
TEST_F(exit_test, exit_with_an_error) { EXPECT_EQ(run("error"), "exit 3\nmain ends\ntask\n"); }
// Its callbacks do not keep the program.
TEST_F(exit_test, a_promise_that_is_never_kept) {
  EXPECT_EQ(run("promise"), "exit 0\nmain ends\ntask\n");
}
// Those of the first of several futures do, and those of all that include a promise do not.
TEST_F(exit_test, a_combination_with_a_promise) {
  EXPECT_EQ(run("combination"), "exit 0\nmain ends\ntask\nany\n");
}
// A task that ends the program does not wait for itself.
TEST_F(exit_test, exit_in_a_task) { EXPECT_EQ(run("task"), "exit 4\ntask ends\n"); }

}  // namespace
