// A mutex between the threads of one process, for critical sections of some dozen instructions that
// are entered millions of times a second: locking and unlocking are one inline atomic operation
// each, where std::mutex calls into the C library. A thread that finds it locked spins for a
// moment, and then sleeps in futex.
//
//   state_ before -> after | by
//   -----------------------+---------------------------------------------------------------------
//   free      -> locked    | lock(), try_lock(): uncontended
//   any       -> contended | lock() before and after it sleeps: other threads may sleep, too; if
//                          | the state was free, the thread has the mutex
//   locked    -> free      | unlock()
//   contended -> free      | unlock(), then a wake for one thread
//
// Not recursive; the thread that locks it unlocks it.
#pragma once

#include <atomic>
#include <cstdint>

#include "base/guarded.hpp"

namespace procpool::os {

class CAPABILITY("mutex") short_mutex {
 public:
  short_mutex() = default;
  short_mutex(const short_mutex&) = delete;
  short_mutex& operator=(const short_mutex&) = delete;

  void lock() noexcept ACQUIRE() {
    if (!try_lock()) [[unlikely]] {
      lock_slowly();
    }
  }
  bool try_lock() noexcept TRY_ACQUIRE(true) {
    std::uint32_t expected = free;
    // acquire: what the previous owner has written
    return state_.compare_exchange_strong(expected, locked, std::memory_order_acquire,
                                          std::memory_order_relaxed);
  }
  void unlock() noexcept RELEASE() {
    // release: for the next owner
    if (state_.exchange(free, std::memory_order_release) == contended) [[unlikely]] {
      wake_one();
    }
  }

 private:
  // The analysis does not know that the exchange takes it.
  void lock_slowly() noexcept ACQUIRE() NO_THREAD_SAFETY_ANALYSIS;
  void wake_one() noexcept;

  static constexpr std::uint32_t free = 0, locked = 1, contended = 2;
  std::atomic<std::uint32_t> state_{free};
};

}  // namespace procpool::os
