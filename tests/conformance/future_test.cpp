// Futures, after CPython's test_future.py: what a future says in each of its states, when it can be
// cancelled, and what its callbacks get to see.
#include <algorithm>
#include <atomic>
#include <future>
#include <stdexcept>
#include <thread>

#include "support/pool_test.hpp"
#include "support/tally.hpp"

namespace {

using namespace procpool;
using namespace procpool::testing;
using namespace std::chrono_literals;

int echo(int x) { return x; }
int fail() { throw std::out_of_range("no such key"); }
int wait_and_return(const std::string& gate, int x) {
  await_tally(gate, 1);
  return x;
}

// One future in each state. The only worker is kept in `running`.
struct all_states {
  explicit all_states(pool_options o) : pool(std::move(o)) {
    successful.wait();
    failed.wait();
    EXPECT_TRUE(eventually([&] { return running.running(); }));
    EXPECT_TRUE(cancelled.cancel());
  }
  process_pool_executor pool;
  tally gate;
  future<int> successful = pool.submit(echo, 42);
  future<int> failed = pool.submit(fail);
  future<int> running = pool.submit(wait_and_return, gate.path(), 1);
  future<int> pending = pool.submit(echo, 2);
  future<int> cancelled = pool.submit(echo, 3);
};

// What a callback saw; a std::future gets it back into the test's thread.
struct seen {
  bool done = false, cancelled = false;
  std::string error;
  std::thread::id thread;
};
std::future<seen> watch(const future<int>& f) {
  auto result = std::make_shared<std::promise<seen>>();
  f.on_done([result](const future<int>& done) {
    seen s{done.done(), done.cancelled(), "", std::this_thread::get_id()};
    if (const std::exception_ptr e = done.exception()) {
      try {
        std::rethrow_exception(e);
      } catch (const std::exception& x) {
        s.error = x.what();
      }
    }
    result->set_value(s);
  });
  return result->get_future();
}

class future_test : public pool_test {
 protected:
  pool_options one_worker() const { return options(1); }
};
PROCPOOL_FOR_EACH_START_METHOD(future_test);

// test_done_callback_with_result, _with_exception, _with_cancel
TEST_P(future_test, done_callback_with_result_exception_and_cancel) {
  all_states s(one_worker());
  std::future<seen> of_running = watch(s.running);
  future<int> will_fail = s.pool.submit(fail);
  std::future<seen> of_failure = watch(will_fail);
  std::future<seen> of_pending = watch(s.pending);
  EXPECT_TRUE(s.pending.cancel());
  EXPECT_TRUE(of_pending.get().cancelled);
  s.gate.add();
  const seen success = of_running.get();
  EXPECT_TRUE(success.done);
  EXPECT_EQ(success.error, "");
  // differs: callbacks run on a thread of their own, never in the thread that completes or cancels.
  EXPECT_NE(success.thread, std::this_thread::get_id());
  EXPECT_EQ(of_failure.get().error, "no such key");
  EXPECT_EQ(s.running.get(), 1) << "a callback asks, it takes nothing";
}

// test_done_callback_already_successful, _already_failed, _already_cancelled
TEST_P(future_test, done_callback_already_done) {
  all_states s(one_worker());
  EXPECT_EQ(watch(s.successful).get().error, "");
  EXPECT_EQ(watch(s.failed).get().error, "no such key");
  EXPECT_TRUE(watch(s.cancelled).get().cancelled);
}

// test_done_callback_raises, test_done_callback_raises_already_succeeded
TEST_P(future_test, done_callback_raises) {
  std::atomic<int> reported{0}, ran{0};
  pool_options o = one_worker();
  // differs: the error goes to pool_options::on_error instead of a log.
  o.on_error = [&](const std::exception_ptr& e) {
    EXPECT_THROW(std::rethrow_exception(e), std::domain_error);
    ++reported;
  };
  all_states s(std::move(o));
  for (const future<int>* f : {&s.successful, &s.running}) {
    f->on_done([](const future<int>&) { throw std::domain_error("a careless callback"); });
    f->on_done([&](const future<int>&) { ++ran; });
  }
  s.gate.add();
  EXPECT_TRUE(eventually([&] { return reported == 2 && ran == 2; }));
}

// test_cancel: the table of six states
TEST_P(future_test, cancel) {
  all_states s(one_worker());
  EXPECT_TRUE(s.pending.cancel());
  EXPECT_TRUE(s.pending.cancel()) << "idempotent";
  EXPECT_TRUE(s.cancelled.cancel());
  EXPECT_FALSE(s.running.cancel());
  EXPECT_FALSE(s.successful.cancel());
  EXPECT_FALSE(s.failed.cancel());
  EXPECT_TRUE(s.pending.cancelled());
  EXPECT_TRUE(s.running.running());
  EXPECT_FALSE(s.successful.cancelled());
  EXPECT_EQ(s.successful.get(), 42);
}

// test_cancelled, test_done, test_running
TEST_P(future_test, cancelled_done_running) {
  all_states s(one_worker());
  const auto expect = [](const future<int>& f, bool cancelled, bool done, bool running) {
    EXPECT_EQ(f.cancelled(), cancelled);
    EXPECT_EQ(f.done(), done);
    EXPECT_EQ(f.running(), running);
  };
  // differs: pending until a worker has begun it, not until it is in a worker's queue.
  expect(s.pending, false, false, false);
  expect(s.running, false, false, true);
  // differs: a cancelled future is done at once, for every thread.
  expect(s.cancelled, true, true, false);
  expect(s.successful, false, true, false);
  expect(s.failed, false, true, false);
}

// test_result_with_timeout: the table of six states
TEST_P(future_test, result_with_timeout) {
  all_states s(one_worker());
  EXPECT_THROW(s.pending.get_for(0s), timeout_error);
  EXPECT_THROW(s.running.get_for(0s), timeout_error);
  EXPECT_THROW(s.running.get_for(10ms), timeout_error);
  EXPECT_THROW(s.cancelled.get_for(0s), cancelled_error);
  EXPECT_THROW(s.failed.get_for(0s), std::out_of_range);
  EXPECT_EQ(s.successful.get_for(0s), 42);
  EXPECT_TRUE(s.running.valid()) << "a timeout does not consume";
  s.gate.add();
  EXPECT_EQ(s.running.get_for(30s), 1);
}

// test_exception_with_timeout
TEST_P(future_test, exception_with_timeout) {
  all_states s(one_worker());
  // differs: exception() takes no timeout: wait_for says whether it would block.
  EXPECT_EQ(s.pending.wait_for(0s), std::future_status::timeout);
  EXPECT_EQ(s.running.wait_for(1ms), std::future_status::timeout);
  EXPECT_EQ(s.failed.wait_for(0s), std::future_status::ready);
  EXPECT_EQ(s.successful.exception(), nullptr);
  EXPECT_THROW(std::rethrow_exception(s.failed.exception()), std::out_of_range);
  // differs: returned like any other error, CPython's exception() raises it.
  EXPECT_THROW(std::rethrow_exception(s.cancelled.exception()), cancelled_error);
  EXPECT_TRUE(s.failed.valid()) << "asking does not consume";
}

// test_result_with_success, test_result_with_cancel: a blocked waiter is woken
TEST_P(future_test, result_wakes_a_blocked_waiter) {
  all_states s(one_worker());
  std::future<int> waits = std::async(std::launch::async, [&] { return s.running.get(); });
  std::future<bool> told = std::async(std::launch::async, [&] {
    try {
      s.pending.get();
    } catch (const cancelled_error&) {
      return true;
    }
    return false;
  });
  // Whether they sleep by now or not: both must come back.
  EXPECT_EQ(told.wait_for(5ms), std::future_status::timeout);
  EXPECT_TRUE(s.pending.cancel());
  EXPECT_TRUE(told.get());
  EXPECT_EQ(waits.wait_for(0s), std::future_status::timeout);
  s.gate.add();
  EXPECT_EQ(waits.get(), 1);
}

// test_exception_with_success
TEST_P(future_test, exception_wakes_a_blocked_waiter) {
  process_pool_executor pool(one_worker());
  tally gate;
  future<int> f = pool.submit(
      [](const std::string& path) -> int {
        await_tally(path, 1);
        throw std::out_of_range("late");
      },
      gate.path());
  std::future<std::exception_ptr> waits =
      std::async(std::launch::async, [&] { return f.exception(); });
  EXPECT_EQ(waits.wait_for(5ms), std::future_status::timeout);
  gate.add();
  EXPECT_THROW(std::rethrow_exception(waits.get()), std::out_of_range);
}

// test_get_snapshot: what several threads see of one future only ever goes forward
TEST_P(future_test, get_snapshot) {
  process_pool_executor pool(options(2));
  tally gate;
  for (int round = 0; round < 20; ++round) {
    future<int> f =
        round == 0 ? pool.submit(wait_and_return, gate.path(), 0) : pool.submit(echo, round);
    std::atomic<bool> wrong{false};
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t) {
      threads.emplace_back([&] {
        int before = 0;
        while (before < 2) {
          const int now = f.done() ? 2 : f.running() ? 1 : 0;
          // Between the two questions it may have become done.
          if (now < before && !f.done()) wrong = true;
          before = std::max(before, now);
        }
        if (f.running() || !f.done() || f.cancelled()) wrong = true;
      });
    }
    if (round == 0) gate.add();
    for (std::thread& t : threads) t.join();
    EXPECT_FALSE(wrong);
    EXPECT_EQ(f.get(), round);
  }
}

// test_swallows_falsey_exceptions: whatever is thrown propagates
TEST_P(future_test, swallows_no_exception) {
  process_pool_executor pool(one_worker());
  future<void> empty = pool.submit([] { throw std::runtime_error(""); });
  try {
    empty.get();
    ADD_FAILURE() << "must throw";
  } catch (const std::runtime_error& e) {
    EXPECT_STREQ(e.what(), "");
  }
  EXPECT_THROW(pool.submit([] { throw 0; }).get(), remote_error);
}

// test_no_stale_references, test_ressources_gced_in_workers: a task's arguments are gone when the
// task is over, not when the next one comes
struct marked {
  std::string path;
  ~marked() {
    if (!path.empty() && this_worker::index()) add_to_tally(path);
  }
  marked() = default;
  explicit marked(std::string p) : path(std::move(p)) {}
  marked(marked&& other) noexcept : path(std::exchange(other.path, {})) {}
};

}  // namespace

template <>
struct procpool::codec<marked> {
  static std::string to_wire(const marked& m) { return m.path; }
  static marked from_wire(std::string path) { return marked(std::move(path)); }
};

namespace {

TEST_P(future_test, no_stale_references) {
  process_pool_executor pool(one_worker());
  tally destroyed;
  future<int> f = pool.submit([](marked) { return 1; }, marked(destroyed.path()));
  f.wait();
  EXPECT_EQ(destroyed.count(), 1);
  EXPECT_EQ(f.get(), 1);
  std::move(f) = pool.submit([](marked) { return 2; }, marked(destroyed.path()));
  f = {};  // dropped
  EXPECT_TRUE(eventually([&] { return destroyed.count() == 2; }));
}

}  // namespace
