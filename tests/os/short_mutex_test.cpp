#include "os/short_mutex.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <vector>

namespace {

using procpool::os::short_mutex;

TEST(short_mutex_test, one_thread_at_a_time) {
  constexpr int threads = 8, turns = 20'000;
  short_mutex m;
  long count = 0;
  std::vector<std::thread> all;
  for (int t = 0; t < threads; ++t) {
    all.emplace_back([&] {
      for (int i = 0; i < turns; ++i) {
        const std::lock_guard lock(m);
        count = count + 1;
      }
    });
  }
  for (std::thread& t : all) t.join();
  EXPECT_EQ(count, long{threads} * turns);
}

TEST(short_mutex_test, try_lock_tells_whether_the_mutex_is_free) {
  short_mutex m;
  // std::unique_lock: clang's analysis does not follow try_lock() into the macros of GoogleTest.
  std::unique_lock first(m, std::try_to_lock);
  EXPECT_TRUE(first.owns_lock());
  EXPECT_FALSE(std::unique_lock(m, std::try_to_lock).owns_lock());
  first.unlock();
  EXPECT_TRUE(std::unique_lock(m, std::try_to_lock).owns_lock());
}

// Longer than any thread spins: the others sleep, and each is woken.
TEST(short_mutex_test, a_sleeping_thread_is_woken) {
  short_mutex m;
  std::condition_variable_any changed;
  int entered = 0;
  std::vector<std::thread> all;
  {
    const std::lock_guard lock(m);
    for (int t = 0; t < 4; ++t) {
      all.emplace_back([&] {
        const std::lock_guard inner(m);
        ++entered;
        changed.notify_all();
      });
    }
    const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(20);
    while (std::chrono::steady_clock::now() < end) std::this_thread::yield();
    EXPECT_EQ(entered, 0);
  }
  std::unique_lock lock(m);
  EXPECT_TRUE(changed.wait_for(lock, std::chrono::seconds(30), [&] { return entered == 4; }));
  lock.unlock();
  for (std::thread& t : all) t.join();
}

}  // namespace
