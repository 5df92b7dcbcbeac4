// The lock under all others, between threads of one process.
#include "sync/robust_lock.hpp"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <fstream>
#include <string>
#include <thread>

#include "support/pool_test.hpp"

namespace {

using namespace procpool;
using namespace procpool::testing;
using sync::deadline;
using sync::lock_result;
using sync::robust_lock;

class robust_lock_test : public leak_free_test {};

// Memory of its own for each object, as shared objects have it, which is gone when it is.
template <class T>
class page {
 public:
  page() {
    memory_ = mmap(nullptr, sizeof(T), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  }
  ~page() { munmap(memory_, sizeof(T)); }
  page(const page&) = delete;
  page& operator=(const page&) = delete;
  T& operator*() const { return *static_cast<T*>(memory_); }
  T* operator->() const { return static_cast<T*>(memory_); }

 private:
  void* memory_;
};

bool sleeps(pid_t thread) {
  std::string text;
  std::getline(std::ifstream("/proc/self/task/" + std::to_string(thread) + "/stat"), text);
  return text.find(") S") != std::string::npos;
}

// The owner leaves and takes it again while another thread is about to sleep: it must not
// sleep unless the owner knows that it has to wake a thread.
TEST_F(robust_lock_test, the_owner_knows_that_a_thread_sleeps) {
  const page<robust_lock> lock;
  std::atomic<pid_t> waiter_id = 0;
  std::atomic<bool> over = false;
  lock->lock(deadline::never());
  std::thread waiter([&] {
    waiter_id = gettid();
    while (!over) {
      lock->lock(deadline::never());
      lock->unlock();
    }
  });
  EXPECT_TRUE(eventually([&] { return waiter_id != 0; }));
  int forgotten = 0;
  for (int i = 0; i < 10'000; ++i) {
    for (int n = 0; n < 3; ++n) {
      lock->unlock();
      lock->lock(deadline::never());
    }
    const bool slept = sleeps(waiter_id);
    const bool known = (lock->word.load() & 1U) != 0;  // bit 0: a thread may sleep
    if (slept && !known && sleeps(waiter_id)) ++forgotten;
  }
  EXPECT_EQ(forgotten, 0);
  over = true;
  lock->unlock();
  waiter.join();
}

struct counted {
  robust_lock lock;
  int users;
};

// A thread that unlocks may find the memory gone at once: the next owner was the last that needed
// it.
TEST_F(robust_lock_test, the_memory_is_freed_while_the_previous_owner_unlocks) {
  constexpr int rounds = 5'000;
  std::atomic<page<counted>*> at = nullptr;
  std::atomic<int> left = 0;
  const auto use = [&](page<counted>* p) {
    counted& c = **p;
    c.lock.lock(deadline::never());
    const bool last = --c.users == 0;
    c.lock.unlock();
    if (last) delete p;
    ++left;
  };
  std::atomic<bool> over = false;
  std::thread other([&] {
    while (!over) {
      if (page<counted>* const p = at.exchange(nullptr)) {
        use(p);
      } else {
        std::this_thread::yield();
      }
    }
  });
  // Fewer rounds where both have to wait for a CPU each time.
  const auto latest = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  for (int i = 0; i < rounds && std::chrono::steady_clock::now() < latest; ++i) {
    auto* const p = new page<counted>;
    (*p)->users = 2;
    at = p;
    use(p);
    while (left < 2 * (i + 1)) std::this_thread::yield();
  }
  over = true;
  other.join();
}

TEST_F(robust_lock_test, the_owner_is_a_thread_that_has_ended) {
  const page<robust_lock> lock;
  std::thread([&] { lock->lock(deadline::never()); }).join();
  EXPECT_TRUE(lock->is_locked());
  EXPECT_FALSE(lock->is_mine());
  EXPECT_EQ(lock->lock(deadline::never()), lock_result::owner_died);
  EXPECT_TRUE(lock->is_mine());
  EXPECT_EQ(lock->owner_died, 1U);
  lock->unlock();
  EXPECT_EQ(lock->try_lock(), lock_result::acquired);
  EXPECT_EQ(lock->owner_died, 0U);
  lock->unlock();
}

TEST_F(robust_lock_test, a_wait_with_a_timeout_ends) {
  const page<robust_lock> lock;
  EXPECT_EQ(lock->lock(deadline::after(duration(0))), lock_result::acquired);
  std::thread([&] {
    EXPECT_EQ(lock->try_lock(), lock_result::busy);
    EXPECT_EQ(lock->lock(deadline::after(duration(0))), lock_result::busy);
    EXPECT_EQ(lock->lock(deadline::after(duration(0.01))), lock_result::busy);
    EXPECT_FALSE(lock->is_mine());
  }).join();
  EXPECT_TRUE(lock->is_mine());
  lock->unlock();
  EXPECT_FALSE(lock->is_locked());
}

}  // namespace
