#include "os/short_mutex.hpp"

#include <chrono>

#include "base/cycle_clock.hpp"
#include "os/futex.hpp"

namespace procpool::os {
namespace {

constexpr int spins = 100;
constexpr std::chrono::seconds longest_sleep{1};

}  // namespace

void short_mutex::lock_slowly() noexcept {
  for (int i = 0; i < spins; ++i) {
    base::relax();
    // relaxed: try_lock decides
    if (state_.load(std::memory_order_relaxed) == free && try_lock()) return;
  }
  // A thread that has slept leaves the mutex contended: others may sleep, too. acquire: as in
  // try_lock
  while (state_.exchange(contended, std::memory_order_acquire) != free) {
    futex_wait(state_, contended, longest_sleep);
  }
}

void short_mutex::wake_one() noexcept { futex_wake(state_, 1); }

}  // namespace procpool::os
