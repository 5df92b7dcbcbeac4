// Callbacks, futures that are not kept, and very many of them.
#include <algorithm>
#include <atomic>
#include <cstdio>
#include <future>
#include <mutex>
#include <numeric>
#include <set>
#include <thread>

#include "support/pool_test.hpp"
#include "support/tally.hpp"

namespace {

using namespace procpool;
using namespace procpool::testing;
using namespace std::chrono_literals;

int echo(int x) { return x; }
int fail() { throw std::out_of_range("nobody asks"); }
int wait_and_return(const std::string& gate, int x) {
  await_tally(gate, 1);
  return x;
}

// What callbacks leave behind, read by the test's thread.
template <class T>
class noted {
 public:
  void add(T x) {
    const std::lock_guard lock(mutex_);
    all_.push_back(std::move(x));
  }
  std::vector<T> get() const {
    const std::lock_guard lock(mutex_);
    return all_;
  }
  std::size_t size() const { return get().size(); }

 private:
  mutable std::mutex mutex_;
  std::vector<T> all_;
};

class callbacks_test : public pool_test {};
PROCPOOL_FOR_EACH_START_METHOD(callbacks_test);
class many_futures_test : public pool_test {};
PROCPOOL_FOR_EACH_START_METHOD(many_futures_test);

TEST_P(callbacks_test, callbacks_of_a_future_run_in_the_order_of_registration) {
  process_pool_executor pool(options(1));
  noted<int> seen;
  tally gate;
  future<int> f = pool.submit(wait_and_return, gate.path(), 0);
  future<int> g = pool.submit(echo, 1);
  // Those of one future in the order of registration, futures in the order of completion.
  g.on_done([&](const future<int>&) { seen.add(10); });
  f.on_done([&](const future<int>&) { seen.add(1); });
  f.on_done([&](const future<int>&) { seen.add(2); });
  f.on_done([&](const future<int>&) { seen.add(3); });
  gate.add();
  EXPECT_TRUE(eventually([&] { return seen.size() == 4; }));
  EXPECT_EQ(seen.get(), (std::vector<int>{1, 2, 3, 10}));
}

TEST_P(callbacks_test, callbacks_of_a_done_future_run_in_the_order_of_registration) {
  process_pool_executor pool(options(1));
  noted<int> seen;
  future<int> f = pool.submit(echo, 1);
  f.wait();
  for (int i = 0; i < 10; ++i) f.on_done([&, i](const future<int>&) { seen.add(i); });
  EXPECT_TRUE(eventually([&] { return seen.size() == 10; }));
  EXPECT_EQ(seen.get(), (std::vector<int>{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}));
}

// Recommended 2: a slow callback delays other callbacks and nothing else.
TEST_P(callbacks_test, a_slow_callback_stalls_no_task) {
  process_pool_executor pool(options(1));
  std::promise<void> go_on;
  std::promise<void> inside;
  pool.submit(echo, 0).on_done([&](const future<int>&) {
    inside.set_value();
    go_on.get_future().wait_for(30s);
  });
  inside.get_future().wait();
  std::atomic<bool> later{false};
  pool.submit(echo, 0).on_done([&](const future<int>&) { later = true; });
  for (int i = 0; i < 100; ++i) EXPECT_EQ(pool.submit(echo, i).get(), i);
  std::vector<future<int>> fs;
  for (int i = 0; i < 100; ++i) fs.push_back(pool.submit(echo, i));
  EXPECT_EQ(wait(fs).done.size(), 100U);
  EXPECT_FALSE(later);
  go_on.set_value();
  EXPECT_TRUE(eventually([&] { return later.load(); }));
}

TEST_P(callbacks_test, a_callback_that_throws_is_reported_and_the_next_callback_runs) {
  noted<std::string> errors;
  std::atomic<int> ran{0};
  pool_options o = options(1);
  o.on_error = [&](const std::exception_ptr& e) {
    try {
      std::rethrow_exception(e);
    } catch (const std::exception& x) {
      errors.add(x.what());
    }
  };
  {
    process_pool_executor pool(o);
    future<int> f = pool.submit(echo, 1);
    f.on_done([](const future<int>&) { throw std::runtime_error("on_done"); });
    f.on_done([&](const future<int>&) { ++ran; });
    std::move(f).then(
        [](future<int> g) { throw std::runtime_error("then " + std::to_string(g.get())); });
    pool.submit(fail).detach();
    pool.submit(echo, 5).detach();
    pool.submit(echo, 2).then([&](future<int> g) { ran += g.get(); });
    EXPECT_TRUE(eventually([&] { return errors.size() == 3 && ran == 3; }));
  }
  EXPECT_EQ(errors.get(), (std::vector<std::string>{"on_done", "then 1", "nobody asks"}));
}

TEST_P(callbacks_test, then_gets_the_future) {
  process_pool_executor pool(options(1));
  std::promise<std::unique_ptr<int>> value;
  future<std::unique_ptr<int>> f = pool.submit([] { return std::make_unique<int>(7); });
  std::move(f).then([&](future<std::unique_ptr<int>> g) { value.set_value(g.get()); });
  EXPECT_FALSE(f.valid());
  EXPECT_EQ(*value.get_future().get(), 7);
}

// Callbacks submit, wait, and register callbacks: a chain, each link made by the one before.
TEST_P(callbacks_test, a_callback_may_submit_and_wait) {
  process_pool_executor pool(options(1));
  std::promise<int> end;
  struct chain {
    process_pool_executor* pool;
    std::promise<int>* end;
    void operator()(future<int> f) const {
      const int x = pool->submit(echo, f.get()).get();
      if (x == 0) {
        end->set_value(x);
      } else {
        pool->submit(echo, x - 1).then(chain(*this));
      }
    }
  };
  pool.submit(echo, 20).then(chain{&pool, &end});
  EXPECT_EQ(end.get_future().get(), 0);
}

// Recommended 1: callbacks that submit again while the pool breaks get an error, and no deadlock.
TEST_P(callbacks_test, a_callback_may_submit_while_the_pool_breaks) {
  tally gate;
  // differs: CPython deadlocks here.
  process_pool_executor pool(pool_options{.max_workers = 1,
                                          .start = method(),
                                          .initializer = invocation(partial(
                                              [](const std::string& path) {
                                                await_tally(path, 1);
                                                throw std::runtime_error("cannot start");
                                              },
                                              gate.path()))});
  std::atomic<int> told{0}, refused{0};
  for (int i = 0; i < 10; ++i) {
    pool.submit(echo, i).then([&](future<int> f) {
      try {
        f.get();
      } catch (const broken_process_pool& e) {
        EXPECT_NE(std::string(e.what()).find("cannot start"), std::string::npos);
        ++told;
      }
      try {
        (void)pool.submit(echo, 1);
      } catch (const broken_process_pool&) {
        ++refused;
      }
    });
  }
  gate.add();
  EXPECT_TRUE(eventually([&] { return told == 10 && refused == 10; }));
}

TEST_P(callbacks_test, callbacks_of_cancelled_and_crashed_tasks) {
  std::promise<int> death;
  pool_options o = options(1);
  o.on_worker_death = [&](const task_killed& t) { death.set_value(t.exit_code()); };
  process_pool_executor pool(o);
  tally gate;
  std::promise<bool> crashed, cancelled;
  pool.submit([]() -> int { std::_Exit(6); }).then([&](future<int> f) {
    try {
      f.get();
    } catch (const worker_crashed& e) {
      crashed.set_value(e.exit_code() == 6);
    }
  });
  EXPECT_TRUE(crashed.get_future().get());
  EXPECT_EQ(death.get_future().get(), 6);
  future<int> running = pool.submit(wait_and_return, gate.path(), 1);
  future<int> pending = pool.submit(echo, 1);
  EXPECT_TRUE(eventually([&] { return running.running(); }));
  pending.on_done([&](const future<int>& f) { cancelled.set_value(f.cancelled()); });
  EXPECT_TRUE(pending.cancel());
  EXPECT_TRUE(cancelled.get_future().get());
}

// The executor may go before the callbacks have run; all of them still do, once.
TEST_P(callbacks_test, callbacks_outlive_the_executor) {
  std::atomic<int> ran{0};
  {
    process_pool_executor pool(options(2));
    for (int i = 0; i < 200; ++i) {
      pool.submit(echo, i).then([&, i](future<int> f) { ran += f.get() == i ? 1 : 0; });
    }
  }
  EXPECT_TRUE(eventually([&] { return ran == 200; }));
}

TEST_P(callbacks_test, futures_dropped_before_and_after_done) {
  process_pool_executor pool(options(2));
  tally ran, gate;
  const auto f = [](const std::string& r, const std::string& g, std::size_t bytes) {
    await_tally(g, 1);
    add_to_tally(r);
    return std::string(bytes, 'x');
  };
  for (int i = 0; i < 10; ++i) {
    (void)pool.submit(f, ran.path(), gate.path(), 10U);
    (void)pool.submit(f, ran.path(), gate.path(), 100'000U);
  }
  gate.add();
  {
    auto done = pool.submit(f, ran.path(), gate.path(), 100'000U);
    done.wait();
  }
  EXPECT_TRUE(eventually([&] { return ran.count() == 21; }));
  // differs: an error of a future that is dropped is dropped with it: detach() reports it.
  (void)pool.submit(fail);
  EXPECT_EQ(pool.submit(echo, 1).get(), 1);
}

TEST_P(callbacks_test, callbacks_of_shared_futures) {
  process_pool_executor pool(options(1));
  tally gate;
  const shared_future<std::string> s = pool.submit(
                                               [](const std::string& g) {
                                                 await_tally(g, 1);
                                                 return std::string(1000, 's');
                                               },
                                               gate.path())
                                           .share();
  const shared_future<int> bad = pool.submit(fail).share();
  const shared_future<void> nothing = pool.submit([] {}).share();
  std::atomic<int> right{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 6; ++t) {
    threads.emplace_back([&, mine = s] {
      if (mine.get().size() == 1000 && &mine.get() == &s.get()) ++right;
      try {
        bad.get();
      } catch (const std::out_of_range&) {
        ++right;
      }
      nothing.get();
      if (mine.done() && !mine.running()) ++right;
    });
  }
  EXPECT_EQ(s.wait_for(2ms), std::future_status::timeout);
  gate.add();
  for (std::thread& t : threads) t.join();
  EXPECT_EQ(right, 18);
}

TEST_P(callbacks_test, cancel_from_another_thread) {
  process_pool_executor pool(options(1));
  tally gate;
  for (const cancel_mode mode : {cancel_mode::pending, cancel_mode::kill_running}) {
    future<int> running = pool.submit(wait_and_return, gate.path(), 1);
    future<int> pending = pool.submit(echo, 1);
    EXPECT_TRUE(eventually([&] { return running.running(); }));
    future<int>& victim = mode == cancel_mode::pending ? pending : running;
    std::thread canceller([&] { EXPECT_TRUE(victim.cancel(mode)); });
    EXPECT_THROW(victim.get(), cancelled_error);
    canceller.join();
    if (mode == cancel_mode::pending) {
      EXPECT_TRUE(running.cancel(cancel_mode::kill_running));
      EXPECT_THROW(running.get(), cancelled_error);
    } else {
      EXPECT_EQ(pending.get(), 1) << "in the worker that took its place";
    }
  }
}

TEST_P(many_futures_test, completion_queue_with_several_adders) {
  process_pool_executor pool(options(2));
  completion_queue<int> q;
  std::atomic<int> adding{4};
  std::vector<std::thread> adders;
  for (int t = 0; t < 4; ++t) {
    adders.emplace_back([&, t] {
      for (int i = 0; i < 500; ++i) q.add(pool.submit(echo, 500 * t + i));
      --adding;
    });
  }
  std::set<int> seen;
  while (adding != 0 || !q.empty()) {
    while (std::optional<future<int>> f = q.next()) seen.insert(f->get());
  }
  for (std::thread& t : adders) t.join();
  EXPECT_EQ(seen.size(), 2000U);
}

TEST_P(many_futures_test, submit_all_first_and_read_afterwards) {
  process_pool_executor pool(options(2));
  std::vector<future<int>> fs;
  for (int i = 0; i < 100'000; ++i) fs.push_back(pool.submit(echo, i));
  for (int i = 0; i < 100'000; ++i) {
    ASSERT_EQ(fs[static_cast<std::size_t>(i)].get(), i);
  }
}

// More than there are slots: finished outcomes move to private memory.
TEST_P(many_futures_test, more_than_the_region_has_slots) {
  process_pool_executor pool(options(2));
  constexpr int n = 200'000;
  std::vector<future<std::string>> fs;
  const auto f = [](int i) {
    return std::string(i % 1000 == 0 ? 500 : 3, static_cast<char>('a' + i % 26));
  };
  for (int i = 0; i < n; ++i) fs.push_back(pool.submit(f, i));
  for (int i = 0; i < n; ++i) ASSERT_EQ(fs[static_cast<std::size_t>(i)].get(), f(i));
}

// The same while other threads read, drop and cancel: a record that changes hands takes nothing
// of its old task along.
TEST_P(many_futures_test, slots_run_out_while_futures_come_and_go) {
  if (method() != start_method::spawn) GTEST_SKIP() << "the same code; once is enough";
  process_pool_executor pool(options(2));
  std::vector<future<int>> unread;
  for (int i = 0; i < 131'072 - 50; ++i) unread.push_back(pool.submit(echo, i));
  for (const future<int>& f : unread) f.wait();
  std::atomic<int> wrong{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 2; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 20'000; ++i) {
        future<int> f = pool.submit(echo, 1'000'000 * (t + 1) + i);
        if (i % 3 == 0) {
          f.wait();  // and dropped, done
        } else if (i % 3 == 1) {
          if (f.get() != 1'000'000 * (t + 1) + i) ++wrong;
        } else {
          f.cancel();
        }
      }
    });
  }
  for (std::thread& t : threads) t.join();
  EXPECT_EQ(wrong, 0);
  int i = 0;
  for (future<int>& f : unread) ASSERT_EQ(f.get(), i++);
}

std::size_t resident_kib() {
  std::size_t pages = 0, resident = 0;
  std::FILE* f = std::fopen("/proc/self/statm", "r");
  if (f == nullptr || std::fscanf(f, "%zu %zu", &pages, &resident) != 2) resident = 0;
  if (f != nullptr) std::fclose(f);
  return resident * 4;
}

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define PROCPOOL_TEST_MEMORY_IS_NOT_OURS
#endif
#endif

TEST_P(many_futures_test, fire_and_forget_does_not_fill_memory) {
#if defined(PROCPOOL_TEST_MEMORY_IS_NOT_OURS) || defined(__SANITIZE_ADDRESS__)
  GTEST_SKIP() << "a sanitizer keeps freed memory and shadows of all of it";
#endif
  process_pool_executor pool(options(2));
  const auto burst = [&](int n) {
    for (int i = 0; i < n; ++i) (void)pool.submit(echo, i);
    pool.submit(echo, 0).wait();
    EXPECT_TRUE(eventually([&] { return pool.stats().pending == 0; }, 30s));
  };
  burst(50'000);
  const std::size_t before = resident_kib();
  burst(150'000);
  burst(100'000);
  const std::size_t after = resident_kib();
  // At most the slots that fit into the region are in use at a time, 256 bytes and a record each.
  EXPECT_LT(after, before + 100 * 1024);
  EXPECT_GT(pool.stats().done, 299'000U);
}

// A million tasks through one pool: what is read is forgotten.
TEST_P(many_futures_test, a_million_submits_in_bounded_memory) {
#if defined(PROCPOOL_TEST_MEMORY_IS_NOT_OURS) || defined(__SANITIZE_ADDRESS__) || \
    defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "a sanitizer keeps freed memory and shadows of all of it";
#endif
  if (method() != start_method::spawn) GTEST_SKIP() << "the same code; once is enough";
  constexpr int n = 1'000'000, window = 10'000;
  process_pool_executor pool(options(2));
  std::vector<future<int>> recent(window);
  std::size_t before = 0, most = 0;
  const auto slot_of = [](int i) { return static_cast<std::size_t>(i % window); };
  for (int i = 0; i < n + window; ++i) {
    future<int>& f = recent[slot_of(i)];
    if (i >= window) {
      ASSERT_EQ(f.get(), i - window);
    }
    if (i < n) f = pool.submit(echo, i);
    if (i == 2 * window) before = resident_kib();
    if (i % window == 0) most = std::max(most, resident_kib());
  }
  // Far less than a slot for each: 256 MB.
  EXPECT_LT(most, before + 10 * 1024);
  EXPECT_EQ(pool.stats().done, static_cast<std::size_t>(n));
}

}  // namespace
