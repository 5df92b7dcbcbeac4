// A mutex of one process for sections of some dozen instructions, which threads enter millions of
// times a second: taking and leaving it are one atomic operation each, in place. A thread that
// finds it taken looks for a moment, since its owner is about to leave, and then sleeps.
//
// Like std::mutex it is not recursive, and belongs to the thread that has it. Between threads only.
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
    // acquire: what the last owner has done
    return state_.compare_exchange_strong(expected, taken, std::memory_order_acquire,
                                          std::memory_order_relaxed);
  }
  void unlock() noexcept RELEASE() {
    // release: for the next owner
    if (state_.exchange(free, std::memory_order_release) == wanted) [[unlikely]] {
      wake_one();
    }
  }

 private:
  // The analysis does not know that the exchange takes it.
  void lock_slowly() noexcept ACQUIRE() NO_THREAD_SAFETY_ANALYSIS;
  void wake_one() noexcept;

  static constexpr std::uint32_t free = 0, taken = 1, wanted = 2;  // wanted: somebody may sleep
  std::atomic<std::uint32_t> state_{free};
};

}  // namespace procpool::os
