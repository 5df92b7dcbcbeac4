// promise<T>: misuse as std::promise has it, and its futures among others. The cases of CPython's
// test_future.py that resolve a future by hand are here, under their names.
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <stdexcept>
#include <thread>

#include "support/pool_test.hpp"

namespace {

using namespace procpool;
using namespace procpool::testing;
using namespace std::chrono_literals;

class promise_test : public leak_free_test {};

TEST_F(promise_test, values) {
  promise<std::string> text;
  auto f = text.get_future();
  EXPECT_FALSE(f.done());
  EXPECT_FALSE(f.running());
  EXPECT_EQ(f.wait_for(1ms), std::future_status::timeout);
  EXPECT_THROW((void)f.get_for(1ms), timeout_error);
  text.set_value("set");
  EXPECT_TRUE(f.done());
  EXPECT_EQ(f.get(), "set");
  promise<void> nothing;
  auto g = nothing.get_future();
  nothing.set_value();
  g.get();
  promise<std::unique_ptr<int>> moved;
  moved.set_value(std::make_unique<int>(3));
  EXPECT_EQ(*moved.get_future().get(), 3);
}

// A type that cannot travel: it does not have to.
TEST_F(promise_test, values_without_a_codec) {
  promise<std::function<int()>> p;
  p.set_value([x = 5] { return x; });
  auto shared = p.get_future().share();
  EXPECT_EQ(shared.get()(), 5);
  EXPECT_EQ(shared.get()(), 5);
}

TEST_F(promise_test, errors) {
  promise<int> p;
  auto f = p.get_future();
  p.set_exception(std::make_exception_ptr(std::domain_error("no")));
  EXPECT_TRUE(f.exception());
  EXPECT_THROW(f.get(), std::domain_error);
}

TEST_F(promise_test, an_empty_exception_pointer) {
  promise<int> p;
  auto f = p.get_future();
  EXPECT_THROW(p.set_exception(nullptr), std::invalid_argument);
  EXPECT_FALSE(f.done());
  p.set_value(1);
  EXPECT_EQ(f.get(), 1);
}

// Resolved there, it is not resolved here; and no listener is told there.
TEST_F(promise_test, a_promise_in_a_copy_of_the_process) {
  const inline_executor keeps_copies_apart;
  promise<int> p;
  auto f = p.get_future();
  std::atomic<int> called = 0;
  f.on_done([&](const future<int>& g) { called += g.done(); });
  const pid_t copy = fork();
  if (copy == 0) {
    alarm(20);
    p.set_value(7);
    _exit(0);
  }
  int status = -1;
  waitpid(copy, &status, 0);
  EXPECT_EQ(status, 0);
  EXPECT_FALSE(f.done());
  p.set_value(1);
  EXPECT_EQ(f.get(), 1);
  EXPECT_TRUE(eventually([&] { return called == 1; }));
}

TEST_F(promise_test, a_broken_promise) {
  future<int> f;
  {
    promise<int> p;
    f = p.get_future();
  }
  EXPECT_THROW(f.get(), invalid_state_error);
}

TEST_F(promise_test, multiple_set_result) {
  promise<int> p;
  auto f = p.get_future();
  p.set_value(1);
  EXPECT_THROW(p.set_value(2), invalid_state_error);
  EXPECT_THROW(p.set_exception(std::make_exception_ptr(0)), invalid_state_error);
  EXPECT_EQ(f.get(), 1);
}

TEST_F(promise_test, multiple_set_exception) {
  promise<int> p;
  auto f = p.get_future();
  p.set_exception(std::make_exception_ptr(std::domain_error("first")));
  EXPECT_THROW(p.set_exception(std::make_exception_ptr(0)), invalid_state_error);
  EXPECT_THROW(p.set_value(1), invalid_state_error);
  EXPECT_THROW(f.get(), std::domain_error);
}

TEST_F(promise_test, misuse) {
  promise<int> p;
  auto f = p.get_future();
  EXPECT_THROW((void)p.get_future(), invalid_state_error);
  promise<int> q = std::move(p);
  EXPECT_THROW(p.set_value(1), invalid_state_error);
  EXPECT_THROW((void)p.get_future(), invalid_state_error);
  q.set_value(2);
  q = promise<int>();
  EXPECT_EQ(f.get(), 2);
}

// The first to set wins, and a value whose constructor throws is none.
TEST_F(promise_test, a_value_that_throws_leaves_the_promise_unset) {
  struct throws {
    explicit throws(int x) {
      if (x == 0) throw std::domain_error("zero");
    }
  };
  promise<throws> p;
  auto f = p.get_future();
  EXPECT_THROW(p.set_value(0), std::domain_error);
  EXPECT_FALSE(f.done());
  p.set_value(1);
  f.get();
}

TEST_F(promise_test, cancel) {
  promise<int> p;
  auto f = p.get_future();
  std::atomic<bool> called = false;
  f.on_done([&](const future<int>& g) { called = g.cancelled(); });
  EXPECT_TRUE(f.cancel());
  EXPECT_TRUE(f.cancel());
  EXPECT_TRUE(f.done() && f.cancelled());
  EXPECT_THROW(p.set_value(1), invalid_state_error);
  EXPECT_THROW(f.get(), cancelled_error);
  EXPECT_TRUE(eventually([&] { return called.load(); }));
  promise<int> q;
  auto g = q.get_future();
  q.set_value(1);
  EXPECT_FALSE(g.cancel());
}

// Of result(), exception() and wait() that sleep meanwhile.
TEST_F(promise_test, result_with_success) {
  promise<int> p;
  auto shared = p.get_future().share();
  std::atomic<int> sum = 0;
  std::vector<std::jthread> waiting;
  for (int i = 0; i < 4; ++i) waiting.emplace_back([&, shared] { sum += shared.get(); });
  p.set_value(5);
  waiting.clear();
  EXPECT_EQ(sum, 20);
}

TEST_F(promise_test, result_with_cancel) {
  promise<int> p;
  auto shared = p.get_future().share();
  std::atomic<int> cancelled = 0;
  std::jthread waiting([&, shared] {
    try {
      shared.get();
    } catch (const cancelled_error&) {
      ++cancelled;
    }
  });
  EXPECT_TRUE(shared.cancel());
  waiting.join();
  EXPECT_EQ(cancelled, 1);
}

TEST_F(promise_test, exactly_one_of_many_threads_resolves_a_promise) {
  for (int round = 0; round < 200; ++round) {
    promise<int> p;
    auto f = p.get_future();
    std::atomic<int> set = 0, cancelled = 0;
    {
      std::vector<std::jthread> all;
      for (int i = 0; i < 2; ++i) {
        all.emplace_back([&, i] {
          try {
            p.set_value(i);
            ++set;
          } catch (const invalid_state_error&) {
          }
        });
      }
      cancelled += f.cancel();
    }
    EXPECT_EQ(set + cancelled, 1);
    EXPECT_EQ(f.cancelled(), cancelled == 1);
  }
}

TEST_F(promise_test, in_a_coroutine_and_in_sets) {
  promise<int> p, q;
  std::vector<future<int>> fs;
  fs.push_back(p.get_future());
  fs.push_back(q.get_future());
  EXPECT_EQ(wait(fs, {.timeout = 1ms}).not_done.size(), 2U);
  std::jthread setter([&] {
    q.set_value(2);
    p.set_value(1);
  });
  int sum = 0;
  for (auto& f : as_completed(fs)) sum += f.get();
  EXPECT_EQ(sum, 3);
}

}  // namespace
