// broadcast on threads and in place: one call in every thread, all at the same time. What can never
// come together says so, instead of waiting.
#include <dlfcn.h>
#include <pthread.h>

#include <atomic>
#include <barrier>
#include <cerrno>
#include <cstdlib>
#include <mutex>
#include <set>
#include <system_error>
#include <thread>

#include "os/sanitizers.hpp"
#include "support/pool_test.hpp"

namespace {

using namespace procpool;
using namespace procpool::testing;
using namespace std::chrono_literals;

std::atomic<bool> refuse_threads{false};

}  // namespace

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) && !defined(__clang__)
// Found before the C library's own.
extern "C" int pthread_create(pthread_t* thread, const pthread_attr_t* attributes,
                              void* (*start)(void*), void* argument) noexcept {
  using function = int (*)(pthread_t*, const pthread_attr_t*, void* (*)(void*), void*);
  static const auto real = reinterpret_cast<function>(dlsym(RTLD_NEXT, "pthread_create"));
  return refuse_threads ? EAGAIN : real(thread, attributes, start, argument);
}
constexpr bool can_refuse_threads = true;
#else
constexpr bool can_refuse_threads = false;
#endif

namespace {

// Opened at the latest when it goes.
class gate {
 public:
  gate() = default;
  ~gate() { open(); }
  gate(const gate&) = delete;
  gate& operator=(const gate&) = delete;
  void open() {
    open_ = true;
    open_.notify_all();
  }
  void pass() const { open_.wait(false); }

 private:
  std::atomic<bool> open_{false};
};

class thread_broadcast_test : public leak_free_test {};

TEST_F(thread_broadcast_test, a_call_runs_once_in_every_thread_at_the_same_time) {
  thread_pool_executor pool(5);
  EXPECT_TRUE(pool.stats().workers.empty());
  for (int round = 0; round < 3; ++round) {
    std::barrier all(5);
    std::mutex mutex;
    std::set<std::thread::id> ids;
    auto calls = pool.broadcast(
        [&](int n) {
          all.arrive_and_wait();
          const std::lock_guard lock(mutex);
          ids.insert(std::this_thread::get_id());
          return n;
        },
        7);
    EXPECT_EQ(calls.size(), 5U);
    wait(calls);
    EXPECT_EQ(ids.size(), 5U);
  }
  EXPECT_EQ(pool.stats().workers.size(), 5U);
}

TEST_F(thread_broadcast_test, each_call_has_copies) {
  thread_pool_executor pool(3);
  std::atomic<int> all_calls = 0;
  for (auto& f : pool.broadcast(
           [n = 0](std::atomic<int>& all) mutable {
             ++all;
             return ++n;
           },
           std::ref(all_calls))) {
    EXPECT_EQ(f.get(), 1) << "the function is each call's own";
  }
  EXPECT_EQ(all_calls, 3) << "what is passed by reference is the caller's";
  const std::string text = "text";
  for (auto& f : pool.broadcast([](std::string s) { return s.append("!"); }, text)) {
    EXPECT_EQ(f.get(), "text!");
  }
  for (auto& f : pool.broadcast([](const char* s) { return std::string(s); }, "literal")) {
    EXPECT_EQ(f.get(), "literal");
  }
}

TEST_F(thread_broadcast_test, some_calls_throw) {
  thread_pool_executor pool(4);
  std::atomic<int> order = 0;
  int errors = 0;
  for (auto& f : pool.broadcast([&] {
         if (order++ % 2 == 0) throw std::domain_error("even");
       })) {
    errors += f.exception() ? 1 : 0;
  }
  EXPECT_EQ(errors, 2);
}

TEST_F(thread_broadcast_test, two_broadcasts_at_once_among_other_tasks) {
  thread_pool_executor pool(3);
  std::atomic<int> calls = 0, tasks = 0;
  const auto many = [&] {
    for (int i = 0; i < 100; ++i) {
      pool.submit([&] { ++tasks; }).detach();
      std::barrier all(3);
      auto futures = pool.broadcast([&] {
        all.arrive_and_wait();
        ++calls;
      });
      wait(futures);
    }
  };
  std::jthread other(many);
  many();
  other.join();
  pool.shutdown();
  EXPECT_EQ(calls, 600);
  EXPECT_EQ(tasks, 200);
}

// One thread is busy until the gate opens; a broadcast waits for it in a thread of its own.
class waiting_broadcast {
 public:
  explicit waiting_broadcast(thread_pool_executor& pool, std::size_t threads = 2)
      : busy_(pool.submit([this] {
          now_busy_ = true;
          gate_.pass();
          if (at_the_end_) at_the_end_();
        })) {
    eventually([&] { return now_busy_.load(); });
    caller_ = std::jthread([this, &pool] {
      try {
        auto futures = pool.broadcast([this] { ++begun_; });
        wait(futures);
      } catch (...) {
        error_ = std::current_exception();
      }
    });
    eventually([&] { return pool.stats().running == threads; });
  }
  ~waiting_broadcast() {
    open();
    busy_.wait();  // a pool that was shut down without waiting does not
  }
  waiting_broadcast(const waiting_broadcast&) = delete;
  waiting_broadcast& operator=(const waiting_broadcast&) = delete;

  void then(std::function<void()> f) { at_the_end_ = std::move(f); }
  void open() { gate_.open(); }
  int begun() const { return begun_; }
  int calls() {
    caller_.join();
    if (error_) std::rethrow_exception(error_);
    return begun_;
  }

 private:
  std::atomic<bool> now_busy_ = false;
  std::atomic<int> begun_ = 0;
  std::function<void()> at_the_end_;
  gate gate_;
  future<void> busy_;
  std::exception_ptr error_;
  std::jthread caller_;
};

TEST_F(thread_broadcast_test, a_broadcast_waits_for_a_busy_thread) {
  thread_pool_executor pool(2);
  waiting_broadcast b(pool);
  EXPECT_EQ(b.begun(), 0);
  b.open();
  EXPECT_EQ(b.calls(), 2);
}

TEST_F(thread_broadcast_test, a_shutdown_waits_for_a_broadcast) {
  thread_pool_executor pool(2);
  waiting_broadcast b(pool);
  pool.shutdown({.wait = false});
  b.open();
  EXPECT_EQ(b.calls(), 2);
  EXPECT_THROW((void)pool.broadcast([] {}), shutdown_error);
}

TEST_F(thread_broadcast_test, a_shutdown_cancels_a_broadcast) {
  thread_pool_executor pool(2);
  waiting_broadcast b(pool);
  pool.shutdown({.wait = false, .cancel_futures = true});
  EXPECT_THROW((void)b.calls(), cancelled_error);
  b.open();
}

// It would wait for the threads that wait for it.
TEST_F(thread_broadcast_test, a_task_shuts_the_pool_down_during_a_broadcast) {
  thread_pool_executor pool(2);
  waiting_broadcast b(pool);
  b.then([&] { pool.shutdown(); });
  b.open();
  EXPECT_THROW((void)b.calls(), shutdown_error);
}

TEST_F(thread_broadcast_test, a_task_waits_for_a_new_task_during_a_broadcast) {
  thread_pool_executor pool(2);
  waiting_broadcast b(pool);
  std::atomic<int> value = 0;
  b.then([&] { value = pool.submit([] { return 5; }).get(); });
  b.open();
  EXPECT_THROW((void)b.calls(), nested_use_error);
  EXPECT_TRUE(eventually([&] { return value == 5; }));
}

// The other way round: it waits already when the others come.
TEST_F(thread_broadcast_test, a_task_waits_for_a_task_that_is_queued_after_the_broadcast) {
  thread_pool_executor pool(3);
  gate first, second;
  std::atomic<int> busy = 0, value = 0;
  auto one = pool.submit([&] {
    ++busy;
    first.pass();
  });
  auto two = pool.submit([&] {
    ++busy;
    first.pass();
  });
  auto outer = pool.submit([&] {
    ++busy;
    second.pass();
    value = pool.submit([] { return 5; }).get();
  });
  ASSERT_TRUE(eventually([&] { return busy == 3; }));
  std::exception_ptr error;
  std::jthread caller([&] {
    try {
      (void)pool.broadcast([] {});
    } catch (...) {
      error = std::current_exception();
    }
  });
  ASSERT_TRUE(eventually([&] { return pool.stats().pending == 3; }));
  second.open();
  ASSERT_TRUE(eventually([&] { return pool.stats().pending == 4; }));
  first.open();
  caller.join();
  EXPECT_THROW(std::rethrow_exception(error), nested_use_error);
  outer.get();
  EXPECT_EQ(value, 5);
}

TEST_F(thread_broadcast_test, a_broadcast_inside_of_a_task) {
  thread_pool_executor pool(2), other(2);
  any_executor any(pool);
  EXPECT_THROW(pool.submit([&] { (void)pool.broadcast([] {}); }).get(), nested_use_error);
  EXPECT_THROW(pool.submit([&] { (void)any.broadcast([] {}); }).get(), nested_use_error);
  EXPECT_EQ(pool.submit([&] { return other.broadcast([] {}).size(); }).get(), 2U);
}

TEST_F(thread_broadcast_test, an_initializer_that_fails_in_the_last_thread) {
  std::atomic<int> started = 0;
  thread_pool_executor pool({.max_workers = 3, .initializer = [&] {
                               if (++started == 3) throw std::runtime_error("no licence");
                             }});
  EXPECT_THROW((void)pool.broadcast([] {}), broken_thread_pool);
}

TEST_F(thread_broadcast_test, a_thread_that_cannot_be_started) {
  if (!can_refuse_threads) GTEST_SKIP() << "the sanitizer starts threads by itself";
  thread_pool_executor pool(3);
  pool.submit([] {}).get();
  refuse_threads = true;
  EXPECT_THROW((void)pool.broadcast([] {}), std::system_error);
  EXPECT_EQ(pool.submit([] { return 1; }).get(), 1);
  refuse_threads = false;
  EXPECT_EQ(pool.broadcast([] {}).size(), 3U);
}

TEST_F(thread_broadcast_test, an_inline_broadcast_runs_in_the_caller_only) {
  setenv("PROCPOOL_INLINE", "1", 1);
  {
    static int calls = 0;
    calls = 0;
    process_pool_executor pool(3);
    inline_executor here;
    EXPECT_EQ(pool.broadcast([] { return ++calls; }).size(), 1U);
    EXPECT_EQ(here.broadcast([](const char*) { return ++calls; }, "text").front().get(), 2);
    static inline_executor* nested = nullptr;
    nested = &here;
    EXPECT_THROW(here.submit([] { return nested->broadcast([] {}).size(); }).get(),
                 nested_use_error);
    auto failed = here.broadcast([] { throw std::domain_error("no"); });
    EXPECT_THROW(failed.front().get(), std::domain_error);
    here.shutdown();
    EXPECT_THROW((void)here.broadcast([] {}), shutdown_error);
  }
  unsetenv("PROCPOOL_INLINE");
}

}  // namespace
