// future::then: a function of the result, whose own result is another future.
#include <atomic>
#include <future>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "support/pool_test.hpp"
#include "support/tally.hpp"

namespace {

using namespace procpool;
using namespace procpool::testing;
using namespace std::chrono_literals;

int echo(int x) { return x; }
int fail() { throw std::out_of_range("of the task"); }
int wait_and_return(const std::string& gate, int x) {
  await_tally(gate, 1);
  return x;
}

// What goes to on_error.
class reports {
 public:
  std::function<void(std::exception_ptr)> handler() {
    return [this](const std::exception_ptr& e) {
      try {
        std::rethrow_exception(e);
      } catch (const std::exception& x) {
        const std::lock_guard lock(mutex_);
        all_.emplace_back(x.what());
      }
    };
  }
  std::vector<std::string> get() const {
    const std::lock_guard lock(mutex_);
    return all_;
  }

 private:
  mutable std::mutex mutex_;
  std::vector<std::string> all_;
};

template <class F>
std::string what_is_thrown(F f) {
  try {
    f();
  } catch (const std::exception& e) {
    return e.what();
  }
  return "nothing";
}

class continuations_test : public pool_test {
 protected:
  // The callback thread keeps the task, and so the pool, until it has finished with a callback: the
  // check for leaks comes after one more callback, of a promise, which has no pool.
  void TearDown() override {
    promise<void> last;
    std::promise<void> called;
    future<void> f = last.get_future();
    f.on_done([&](const future<void>&) { called.set_value(); });
    last.set_value();
    called.get_future().wait();
    pool_test::TearDown();
  }
};
PROCPOOL_FOR_EACH_START_METHOD(continuations_test);

TEST_P(continuations_test, a_chain_of_continuations) {
  process_pool_executor pool(options(2));
  future<std::string> text = pool.submit(echo, 20)
                                 .then([](int x) { return x + 1; })
                                 .then([&](int x) { return pool.submit(echo, 2 * x).get(); })
                                 .then([](future<int> f) { return std::to_string(f.get()); });
  EXPECT_EQ(text.get(), "42");
  future<void> nothing = pool.submit([] {}).then([] {});
  EXPECT_NO_THROW(nothing.get());
  EXPECT_EQ(pool.submit([] {}).then([] { return 7; }).get(), 7);
  EXPECT_EQ(*pool.submit([] { return std::make_unique<int>(7); })
                 .then([](std::unique_ptr<int> p) { return p; })
                 .get(),
            7);
}

TEST_P(continuations_test, errors_skip_continuations_that_take_a_value) {
  process_pool_executor pool(options(1));
  std::atomic<int> called{0};
  future<int> f = pool.submit(fail).then([&](int x) { return ++called, x; }).then([&](int x) {
    return ++called, x;
  });
  EXPECT_EQ(what_is_thrown([&] { f.get(); }), "of the task");
  EXPECT_EQ(called, 0);
  EXPECT_EQ(pool.submit(fail).then([](future<int> g) { return g.exception() ? 1 : 0; }).get(), 1);
  future<int> own =
      pool.submit(echo, 1).then([](int) -> int { throw std::runtime_error("of the callback"); });
  EXPECT_EQ(what_is_thrown([&] { own.get(); }), "of the callback");
}

TEST_P(continuations_test, a_continuation_of_a_shared_future) {
  process_pool_executor pool(options(1));
  const shared_future<int> s = pool.submit(echo, 3).share();
  future<int> a = s.then([](const int& x) { return x + 1; });
  future<int> b = s.then([](shared_future<int> x) { return x.get() + 2; });
  EXPECT_EQ(a.get() + b.get(), 4 + 5);
  EXPECT_EQ(s.get(), 3);
  const shared_future<void> v = pool.submit([] {}).share();
  EXPECT_EQ(v.then([] { return 1; }).get(), 1);
  const shared_future<int> failed = pool.submit(fail).share();
  EXPECT_EQ(what_is_thrown([&] { failed.then([](int) {}).get(); }), "of the task");
}

TEST_P(continuations_test, continuations_are_waited_for_like_other_futures) {
  process_pool_executor pool(options(1));
  tally gate;
  std::vector<future<int>> all;
  all.push_back(pool.submit(wait_and_return, gate.path(), 1).then(echo));
  all.push_back(pool.submit(echo, 2).then(echo));
  EXPECT_FALSE(all[0].done());
  gate.add();
  int sum = 0;
  for (future<int>& f : as_completed(all, 300s)) sum += f.get();
  EXPECT_EQ(sum, 3);
  auto end = pool.submit(echo, 2).then([](int) {});
  std::vector<decltype(end)> ends;
  ends.push_back(std::move(end));
  EXPECT_EQ(wait(ends, 300s).done.size(), 1U);
}

TEST_P(continuations_test, cancelling_spares_the_task) {
  process_pool_executor pool(options(1));
  tally gate;
  std::atomic<int> called{0}, seen{0};
  future<int> task = pool.submit(wait_and_return, gate.path(), 1);
  task.on_done([&](const future<int>&) { ++seen; });
  future<int> next = std::move(task).then([&](int x) { return ++called, x; });
  EXPECT_TRUE(next.cancel());
  EXPECT_TRUE(next.done());
  EXPECT_THROW(next.get(), cancelled_error);
  gate.add();
  EXPECT_TRUE(eventually([&] { return seen.load() == 1; }));
  EXPECT_EQ(pool.submit(echo, 1).then(echo).get(), 1) << "the callback thread has passed it";
  EXPECT_EQ(called, 0);
}

TEST_P(continuations_test, an_unread_error_is_reported) {
  reports reported;
  pool_options o = options(1);
  o.on_error = reported.handler();
  {
    process_pool_executor pool(o);
    tally gate;
    // Dropped while the task runs, and kept until after.
    pool.submit(wait_and_return, gate.path(), 1).then([](int) {
      throw std::runtime_error("dropped before");
    });
    pool.submit(fail).then([](int) {});
    {
      future<void> kept = pool.submit(echo, 1).then([](int) { throw std::runtime_error("kept"); });
      future<void> asked =
          pool.submit(echo, 1).then([](int) { throw std::runtime_error("asked"); });
      gate.add();
      EXPECT_EQ(what_is_thrown([&] { asked.get(); }), "asked");
      EXPECT_TRUE(kept.done());
    }
    EXPECT_TRUE(eventually([&] { return reported.get().size() == 3; }));
  }
  EXPECT_EQ(reported.get(), (std::vector<std::string>{"dropped before", "of the task", "kept"}));
}

TEST_P(continuations_test, continuations_outlive_the_pool) {
  std::optional<future<int>> f;
  {
    process_pool_executor pool(options(1));
    f = pool.submit(echo, 4).then([](int x) { return x + 1; });
  }
  EXPECT_EQ(f->get(), 5);
}

TEST(continuations, continuations_of_thread_tasks_and_promises) {
  thread_pool_executor pool(1);
  const int base = 3;
  EXPECT_EQ(pool.submit([&] { return base; }).then([&](int x) { return x + base; }).get(), 6);
  promise<int> p;
  future<int> f = p.get_future().then([](int x) { return x + 1; });
  EXPECT_FALSE(f.done());
  p.set_value(1);
  EXPECT_EQ(f.get(), 2);
  EXPECT_THROW((void)future<int>().then([](int x) { return x; }), invalid_state_error);
  EXPECT_THROW((void)shared_future<int>().then([](int) {}), invalid_state_error);
}

}  // namespace
