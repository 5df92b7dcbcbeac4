// What once made pools hang: the behaviours that CPython's test_concurrent_futures/test_deadlock.py
// asks for. A test is named after the one it answers, without "test_"; "pickle" is what the codec
// does here. All run under the fixture's watchdog. Where procpool differs on purpose, a comment
// says so (docs/differences.md lists them all).
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstdlib>
#include <span>

#include "conformance/meeting_point.hpp"

namespace {

using namespace procpool;
using namespace procpool::testing;

enum class mishap : int { none, error, exit, crash };

void happen(mishap m) {
  switch (m) {
    case mishap::none:
      return;
    case mishap::error:
      throw std::runtime_error("on purpose");
    case mishap::exit:
      std::exit(3);
    case mishap::crash:
      std::abort();
  }
}

// A value with a mishap on each of its four ways.
struct trap {
  mishap from_parent = mishap::none, to_worker = mishap::none;
  mishap from_worker = mishap::none, to_parent = mishap::none;
  static bool in_worker() { return this_worker::index().has_value(); }
};

int twice(int x) { return 2 * x; }
int take(const trap&) { return 1; }
trap give(mishap in_worker, mishap in_parent) {
  return {.from_worker = in_worker, .to_parent = in_parent};
}

}  // namespace

template <>
struct procpool::codec<trap> {
  static std::array<mishap, 4> to_wire(const trap& t) {
    happen(trap::in_worker() ? t.from_worker : t.from_parent);
    return {t.from_parent, t.to_worker, t.from_worker, t.to_parent};
  }
  static trap from_wire(const std::array<mishap, 4>& m) {
    happen(trap::in_worker() ? m[1] : m[3]);
    return {m[0], m[1], m[2], m[3]};
  }
};

namespace {

class deadlock_test : public pool_test {
 protected:
  void SetUp() override {
    pool_test::SetUp();
    pool_.emplace(options(2));
  }
  void TearDown() override {
    // Whatever happened, the pool continues. (Python's is broken by most of this.)
    if (pool_) {
      EXPECT_EQ(pool_->submit(twice, 21).get(), 42);
    }
    pool_.reset();
    pool_test::TearDown();
  }

  template <class T>
  void expect_crash(future<T> f, int signal, int exit_code) {
    auto neighbour = pool_->submit(twice, 4);
    try {
      f.get();
      ADD_FAILURE() << "its worker died";
    } catch (const worker_crashed& e) {
      EXPECT_EQ(e.signal(), signal);
      EXPECT_EQ(e.exit_code(), exit_code);
    }
    EXPECT_EQ(neighbour.get(), 8);
  }
  template <class T>
  void expect_error(future<T> f) {
    auto neighbour = pool_->submit(twice, 4);
    try {
      f.get();
      ADD_FAILURE() << "the codec threw";
    } catch (const std::runtime_error& e) {
      EXPECT_STREQ(e.what(), "on purpose");
    }
    EXPECT_EQ(neighbour.get(), 8);
  }

  std::optional<process_pool_executor> pool_;
};
PROCPOOL_FOR_EACH_START_METHOD(deadlock_test);

// differs: submit itself throws, since it encodes; in Python the future does, later.
TEST_P(deadlock_test, error_at_task_pickle) {
  EXPECT_THROW((void)pool_->submit(take, trap{.from_parent = mishap::error}), std::runtime_error);
}

// differs: only this task is lost, and only to a worker that dies: an error while arguments are
// decoded is the task's. In Python all three break the pool.
TEST_P(deadlock_test, exit_at_task_unpickle) {
  expect_crash(pool_->submit(take, trap{.to_worker = mishap::exit}), 0, 3);
}

TEST_P(deadlock_test, error_at_task_unpickle) {
  expect_error(pool_->submit(take, trap{.to_worker = mishap::error}));
}

TEST_P(deadlock_test, crash_at_task_unpickle) {
  expect_crash(pool_->submit(take, trap{.to_worker = mishap::crash}), SIGABRT, 0);
}

TEST_P(deadlock_test, crash_during_func_exec_on_worker) {
  expect_crash(pool_->submit([] { raise(SIGBUS); }), SIGBUS, 0);
}

// differs: exit() ends the process, as it says, and is a crash to the thread that waits for the
// result; Python's sys.exit() is an exception, and its worker lives on.
TEST_P(deadlock_test, exit_during_func_exec_on_worker) {
  expect_crash(pool_->submit([] { std::exit(0); }), 0, 0);
  expect_crash(pool_->submit([] { std::exit(5); }), 0, 5);
  expect_crash(pool_->submit([] { _exit(6); }), 0, 6);
}

TEST_P(deadlock_test, error_during_func_exec_on_worker) {
  expect_error(pool_->submit(happen, mishap::error));
}

TEST_P(deadlock_test, crash_during_result_pickle_on_worker) {
  expect_crash(pool_->submit(give, mishap::crash, mishap::none), SIGABRT, 0);
}

TEST_P(deadlock_test, exit_during_result_pickle_on_worker) {
  expect_crash(pool_->submit(give, mishap::exit, mishap::none), 0, 3);
}

TEST_P(deadlock_test, error_during_result_pickle_on_worker) {
  expect_error(pool_->submit(give, mishap::error, mishap::none));
}

// differs: a result that does not decode fails its own future, in get(); in Python it breaks the
// pool, because its manager thread decodes.
TEST_P(deadlock_test, error_during_result_unpickle_in_result_handler) {
  expect_error(pool_->submit(give, mishap::none, mishap::error));
  std::vector<int> failed;
  int index = 0;
  const std::vector in{mishap::none, mishap::error, mishap::none, mishap::error};
  for (const auto& o :
       pool_->map({.chunksize = 2}, give, std::vector(4, mishap::none), in).outcomes()) {
    if (!o) failed.push_back(index);
    ++index;
  }
  EXPECT_EQ(index, 4);
  EXPECT_EQ(failed, (std::vector{1, 3}));
}

// A worker dies while shutdown() waits.
TEST_P(deadlock_test, shutdown_deadlock) {
  const meeting_point at;
  auto f = pool_->submit(
      [](const std::string& gate) {
        wait_for(gate);
        std::abort();
      },
      at("gate"));
  // A callback ends the first task once shutdown() has cancelled the second one.
  auto blocked = pool_->submit(pid_behind_gate, at("gate"));
  EXPECT_TRUE(eventually([&] { return pool_->stats().running == 2; }));
  auto queued = pool_->submit(twice, 1);
  queued.on_done([gate = at("gate")](const future<int>&) { touch(gate); });
  pool_->shutdown({.cancel_futures = true});
  EXPECT_THROW(f.get(), worker_crashed);
  EXPECT_GT(blocked.get(), 0);
  EXPECT_TRUE(queued.cancelled());
  pool_.reset();
}

TEST_P(deadlock_test, shutdown_deadlock_pickle) {
  auto f = pool_->submit(take, trap{.to_worker = mishap::error});
  auto g = pool_->submit(give, mishap::error, mishap::none);
  pool_->shutdown({.wait = false});
  pool_.reset();
  EXPECT_THROW(f.get(), std::runtime_error);
  EXPECT_THROW(g.get(), std::runtime_error);
}

// Workers die while arguments, larger than what any pipe holds, are on their way.
TEST_P(deadlock_test, crash_big_data) {
  const std::string large(4'000'000, 'x');
  std::vector<future<std::size_t>> futures;
  for (int i = 0; i < 10; ++i) {
    futures.push_back(pool_->submit([](std::string_view) -> std::size_t { std::abort(); }, large));
  }
  for (auto& f : futures) EXPECT_THROW(f.get(), worker_crashed);
  EXPECT_EQ(pool_->submit([](std::string_view s) { return s.size(); }, large).get(), large.size());
}

// No worker takes tasks for a while: submit does not wait for any.
TEST_P(deadlock_test, gh105829_should_not_deadlock_if_wakeup_pipe_full) {
  std::vector<pid_t> workers;
  EXPECT_TRUE(eventually([&] {
    workers.clear();
    for (const worker_stats& w : pool_->stats().workers) {
      if (w.state == worker_state::idle) workers.push_back(w.pid);
    }
    return workers.size() == 2;
  }));
  for (const pid_t pid : workers) ASSERT_EQ(::kill(pid, SIGSTOP), 0);
  std::vector<future<int>> futures;
  for (int i = 0; i < 5000; ++i) futures.push_back(pool_->submit(twice, i));
  EXPECT_FALSE(futures.front().done());
  EXPECT_TRUE(futures.back().cancel());
  for (const pid_t pid : workers) ASSERT_EQ(::kill(pid, SIGCONT), 0);
  for (int i = 0; i < 4999; ++i) EXPECT_EQ(futures[static_cast<std::size_t>(i)].get(), 2 * i);
  EXPECT_TRUE(futures.back().cancelled());
}

// A stopped worker holds up its own task and nothing else, and can be killed.
TEST_P(deadlock_test, a_stopped_worker) {
  const meeting_point at;
  auto f = pool_->submit(
      [](const std::string& begun) {
        append_line(begun, "");
        raise(SIGSTOP);
        return 1;
      },
      at("begun"));
  ASSERT_TRUE(eventually([&] { return exists(at("begun")); }));
  for (int i = 0; i < 20; ++i) EXPECT_EQ(pool_->submit(twice, i).get(), 2 * i);
  EXPECT_FALSE(f.done());
  EXPECT_TRUE(f.cancel(cancel_mode::kill_running));
  EXPECT_THROW(f.get(), cancelled_error);
}

}  // namespace
