// co_await of a future, in a coroutine type that knows nothing of procpool.
#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <future>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "support/background.hpp"
#include "support/pool_test.hpp"
#include "support/tally.hpp"

namespace {

using namespace procpool;
using namespace procpool::testing;
using namespace std::chrono_literals;

int echo(int x) { return x; }
std::string shout(const std::string& s) { return s + "!"; }
void nothing() {}
int fail() { throw std::out_of_range("thrown in the task"); }
int die() { std::_Exit(3); }
int wait_and_return(const std::string& gate, int x) {
  await_tally(gate, 1);
  return x;
}

class coroutine_test : public pool_test {};
PROCPOOL_FOR_EACH_START_METHOD(coroutine_test);

background<std::string> chain(process_pool_executor& pool) {
  const int x = co_await pool.submit(echo, 20);
  const int y = co_await pool.submit(echo, x + 1);
  co_await pool.submit(nothing);
  co_return co_await pool.submit(shout, std::to_string(y));
}

TEST_P(coroutine_test, values) {
  process_pool_executor pool(options(2));
  EXPECT_EQ(chain(pool).result.get(), "21!");
}

background<std::string> failures(process_pool_executor& pool) {
  std::string seen;
  try {
    co_await pool.submit(fail);
  } catch (const std::out_of_range& e) {
    seen = e.what();
  }
  try {
    co_await pool.submit(die);
  } catch (const worker_crashed& e) {
    seen += ", exit code " + std::to_string(e.exit_code());
  }
  co_return seen;
}

TEST_P(coroutine_test, errors) {
  process_pool_executor pool(options(1));
  EXPECT_EQ(failures(pool).result.get(), "thrown in the task, exit code 3");
}

background<std::pair<bool, bool>> where(future<int> f, std::thread::id caller) {
  co_await std::move(f);
  const bool moved = std::this_thread::get_id() != caller;
  co_return std::pair(moved, true);
}

TEST_P(coroutine_test, a_task_that_is_done_does_not_suspend) {
  process_pool_executor pool(options(1));
  future<int> f = pool.submit(echo, 1);
  f.wait();
  EXPECT_FALSE(where(std::move(f), std::this_thread::get_id()).result.get().first);
}

TEST_P(coroutine_test, a_coroutine_continues_on_the_callback_thread) {
  process_pool_executor pool(options(1));
  tally gate;
  future<int> f = pool.submit(wait_and_return, gate.path(), 1);
  std::thread::id callbacks;
  background<std::pair<bool, bool>> b = where(std::move(f), std::this_thread::get_id());
  EXPECT_EQ(b.result.wait_for(0s), std::future_status::timeout);
  gate.add();
  EXPECT_TRUE(b.result.get().first);
}

TEST_P(coroutine_test, many_coroutines_at_once) {
  process_pool_executor pool(options(2));
  const auto one = [](process_pool_executor& p, int i) -> background<int> {
    const int a = co_await p.submit(echo, i);
    co_return a + co_await p.submit(echo, 1);
  };
  std::vector<background<int>> all;
  for (int i = 0; i < 500; ++i) all.push_back(one(pool, i));
  for (int i = 0; i < 500; ++i) EXPECT_EQ(all[static_cast<std::size_t>(i)].result.get(), i + 1);
}

TEST_P(coroutine_test, a_destroyed_coroutine_is_not_resumed) {
  process_pool_executor pool(options(1));
  tally gate;
  std::atomic<bool> resumed = false;
  const auto suspended = [&](future<int> f) -> background<int> {
    const int x = co_await std::move(f);
    resumed = true;
    co_return x;
  };
  background<int> b = suspended(pool.submit(wait_and_return, gate.path(), 1));
  b.coroutine.destroy();
  gate.add();
  // Callbacks run in order of completion: this one is after that of the coroutine.
  std::promise<void> later;
  pool.submit(echo, 2).then([&](future<int>) { later.set_value(); });
  later.get_future().get();
  EXPECT_FALSE(resumed);
  EXPECT_THROW(b.result.get(), std::future_error);  // the promise went with the coroutine
}

// A thread that runs what it is given, by one of the names that via knows.
class worker_thread {
 public:
  worker_thread() : thread_([this] { work(); }) {}
  ~worker_thread() {
    execute(nullptr);
    thread_.join();
  }
  void execute(std::function<void()> f) {
    const std::lock_guard lock(mutex_);
    queue_.push_back(std::move(f));
    changed_.notify_all();
  }
  std::thread::id id() const { return thread_.get_id(); }

 private:
  void work() {
    for (;;) {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [this] { return !queue_.empty(); });
      const std::function<void()> next = std::move(queue_.front());
      queue_.pop_front();
      if (!next) return;
      lock.unlock();
      next();
    }
  }
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::function<void()>> queue_;
  std::thread thread_;
};

struct with_post {
  worker_thread* thread;
  void post(std::function<void()> f) const { thread->execute(std::move(f)); }
};
struct with_executor {
  worker_thread* thread;
  worker_thread& get_executor() const { return *thread; }
};
// As procpool's own executors have it.
struct with_submit {
  worker_thread* thread;
  process_pool_executor* pool;
  int max_workers() const { return 1; }
  future<void> submit(std::function<void()> f) const {
    thread->execute(std::move(f));
    return pool->submit(nothing);
  }
};
struct refuses {
  void execute(const std::function<void()>& /*f*/) const { throw std::domain_error("closed"); }
};
// Takes functions and is shut down before it runs them.
struct gives_up {
  process_pool_executor* pool;
  int max_workers() const { return 1; }
  future<void> submit(const std::function<void()>& /*f*/) const {
    return pool->submit(std::exit, 1);
  }
};

template <class E>
background<std::pair<int, std::thread::id>> on(E& executor, future<int> f) {
  const int x = co_await via(executor, std::move(f));
  co_return std::pair(x, std::this_thread::get_id());
}

TEST_P(coroutine_test, via_an_executor) {
  process_pool_executor pool(options(1));
  worker_thread thread;
  const auto call = [&thread](std::function<void()> f) { thread.execute(std::move(f)); };
  const with_post post{&thread};
  const with_executor context{&thread};
  const with_submit submit{&thread, &pool};
  const std::pair expected(7, thread.id());
  EXPECT_EQ(on(thread, pool.submit(echo, 7)).result.get(), expected);
  EXPECT_EQ(on(post, pool.submit(echo, 7)).result.get(), expected);
  EXPECT_EQ(on(context, pool.submit(echo, 7)).result.get(), expected);
  EXPECT_EQ(on(submit, pool.submit(echo, 7)).result.get(), expected);
  EXPECT_EQ(on(call, pool.submit(echo, 7)).result.get(), expected);
  future<int> done = pool.submit(echo, 7);
  done.wait();
  EXPECT_EQ(on(thread, std::move(done)).result.get(), expected) << "also what is done already";
  EXPECT_THROW(on(thread, pool.submit(fail)).result.get(), std::out_of_range);
  EXPECT_THROW(static_cast<void>(via(thread, future<int>())), invalid_state_error);
}

TEST_P(coroutine_test, an_executor_that_refuses_wakes_the_coroutine) {
  process_pool_executor pool(options(1));
  const refuses closed;
  EXPECT_THROW(on(closed, pool.submit(echo, 7)).result.get(), std::domain_error);
  const gives_up lazy{&pool};
  EXPECT_THROW(on(lazy, pool.submit(echo, 7)).result.get(), worker_crashed);
}

// Drops functions that it is given, at once or when it is told to.
struct forgets {
  std::vector<std::function<void()>> taken;
  void execute(std::function<void()> f) { taken.push_back(std::move(f)); }
  forgets() = default;
  forgets(const forgets&) = delete;
  forgets& operator=(const forgets&) = delete;
};
struct forgets_at_once {
  void execute(const std::function<void()>& /*f*/) const {}
};

TEST_P(coroutine_test, an_executor_that_drops_the_coroutine) {
  process_pool_executor pool(options(1));
  const forgets_at_once none;
  EXPECT_THROW(on(none, pool.submit(echo, 7)).result.get(), cancelled_error);
  forgets some;
  auto waits = on(some, pool.submit(echo, 7));
  std::promise<void> later;
  pool.submit(echo, 2).then([&](future<int>) { later.set_value(); });
  later.get_future().get();
  EXPECT_EQ(waits.result.wait_for(0s), std::future_status::timeout);
  EXPECT_EQ(some.taken.size(), 1U);
  some.taken.clear();
  EXPECT_THROW(waits.result.get(), cancelled_error);
}

TEST_P(coroutine_test, via_a_thread_pool) {
  process_pool_executor pool(options(1));
  thread_pool_executor threads(1);
  const std::thread::id there = threads.submit([] { return std::this_thread::get_id(); }).get();
  EXPECT_EQ(on(threads, pool.submit(echo, 7)).result.get(), std::pair(7, there));
  // Cancelled by a shutdown while it is queued.
  std::promise<void> begun, gate, queued;
  auto block = threads.submit([&] {
    begun.set_value();
    gate.get_future().wait();
  });
  begun.get_future().wait();
  auto waits = on(threads, pool.submit(echo, 8));
  pool.submit(echo, 2).then([&](future<int>) { queued.set_value(); });
  queued.get_future().get();
  threads.shutdown({.wait = false, .cancel_futures = true});
  EXPECT_THROW(waits.result.get(), cancelled_error);
  EXPECT_THROW(on(threads, pool.submit(echo, 9)).result.get(), shutdown_error);
  gate.set_value();
  block.get();
}

// A coroutine that lets out what is thrown in it.
struct leaky {
  struct promise_type {
    leaky get_return_object() { return {std::coroutine_handle<promise_type>::from_promise(*this)}; }
    std::suspend_never initial_suspend() noexcept { return {}; }
    std::suspend_always final_suspend() noexcept { return {}; }
    void return_void() {}
    void unhandled_exception() { throw; }
  };
  std::coroutine_handle<promise_type> coroutine;
};

TEST_P(coroutine_test, an_exception_that_leaves_a_coroutine_goes_to_on_error) {
  process_pool_executor pool(options(1));
  std::promise<std::string> seen;
  thread_pool_executor threads({.max_workers = 1, .on_error = [&](const std::exception_ptr& e) {
                                  try {
                                    std::rethrow_exception(e);
                                  } catch (const std::exception& error) {
                                    seen.set_value(error.what());
                                  }
                                }});
  const auto throws = [](thread_pool_executor& where, future<int> f) -> leaky {
    co_await via(where, std::move(f));
    throw std::domain_error("out of the coroutine");
  };
  const leaky l = throws(threads, pool.submit(echo, 7));
  EXPECT_EQ(seen.get_future().get(), "out of the coroutine");
  l.coroutine.destroy();
}

class coroutine_loop_test : public leak_free_test {};

// The stack does not grow with the number of awaits, whether they suspend or not.
TEST_F(coroutine_loop_test, a_hundred_thousand_awaits) {
  thread_pool_executor threads(1);
  const auto loop = [](thread_pool_executor& where, int many, bool go_there) -> background<int> {
    int sum = 0;
    for (int i = 0; i < many; ++i) {
      future<int> f = where.submit([] { return 1; });
      if (go_there) {
        sum += co_await via(where, std::move(f));
      } else {
        sum += co_await std::move(f);
      }
    }
    co_return sum;
  };
  EXPECT_EQ(loop(threads, 100'000, false).result.get(), 100'000);
  EXPECT_EQ(loop(threads, 20'000, true).result.get(), 20'000);
}

TEST_P(coroutine_test, a_future_without_a_task) {
  const auto wait = [](future<int> f) -> background<int> { co_return co_await std::move(f); };
  EXPECT_THROW(wait({}).result.get(), invalid_state_error);
}

}  // namespace
