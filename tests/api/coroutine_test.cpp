// co_await of a future, in a coroutine type that knows nothing of procpool.
#include <atomic>
#include <coroutine>
#include <exception>
#include <future>
#include <string>
#include <thread>
#include <utility>
#include <vector>

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

// The least coroutine whose end another thread can wait for.
template <class T>
struct background {
  struct promise_type {
    std::promise<T> result;
    background get_return_object() {
      return {result.get_future(), std::coroutine_handle<promise_type>::from_promise(*this)};
    }
    std::suspend_never initial_suspend() noexcept { return {}; }
    std::suspend_never final_suspend() noexcept { return {}; }
    void return_value(T v) { result.set_value(std::move(v)); }
    void unhandled_exception() { result.set_exception(std::current_exception()); }
  };
  std::future<T> result;
  std::coroutine_handle<promise_type> coroutine;  // dangles once it is over
};

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

TEST_P(coroutine_test, goes_on_upon_the_callback_thread) {
  process_pool_executor pool(options(1));
  tally gate;
  future<int> f = pool.submit(wait_and_return, gate.path(), 1);
  std::thread::id callbacks;
  background<std::pair<bool, bool>> b = where(std::move(f), std::this_thread::get_id());
  EXPECT_EQ(b.result.wait_for(0s), std::future_status::timeout);
  gate.add();
  EXPECT_TRUE(b.result.get().first);
}

TEST_P(coroutine_test, many_at_once) {
  process_pool_executor pool(options(2));
  const auto one = [](process_pool_executor& p, int i) -> background<int> {
    const int a = co_await p.submit(echo, i);
    co_return a + co_await p.submit(echo, 1);
  };
  std::vector<background<int>> all;
  for (int i = 0; i < 500; ++i) all.push_back(one(pool, i));
  for (int i = 0; i < 500; ++i) EXPECT_EQ(all[static_cast<std::size_t>(i)].result.get(), i + 1);
}

TEST_P(coroutine_test, one_that_is_destroyed_is_not_resumed) {
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
  // Callbacks run in order of completion: this one is behind that of the coroutine.
  std::promise<void> later;
  pool.submit(echo, 2).then([&](future<int>) { later.set_value(); });
  later.get_future().get();
  EXPECT_FALSE(resumed);
  EXPECT_THROW(b.result.get(), std::future_error);  // the promise went with the coroutine
}

TEST_P(coroutine_test, a_future_without_a_task) {
  const auto wait = [](future<int> f) -> background<int> { co_return co_await std::move(f); };
  EXPECT_THROW(wait({}).result.get(), invalid_state_error);
}

}  // namespace
