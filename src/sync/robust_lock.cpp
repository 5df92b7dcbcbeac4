#include "sync/robust_lock.hpp"

#include "base/cycle_clock.hpp"

namespace procpool::sync {
namespace {

constexpr int spins = 100;

}  // namespace

bool robust_lock::replace(u64 from, u64 to) noexcept {
  // acquire: what the previous owner has written
  return word.compare_exchange_strong(from, to, std::memory_order_acquire,
                                      std::memory_order_relaxed);
}

lock_result robust_lock::take_over(u64 from, u64 me) noexcept {
  const u64 owner = from & ~waiters_bit;
  if (owner == os::no_owner || owner == me || !os::has_ended(owner >> 1U)) return lock_result::busy;
  // The waiters bit is set: the dead owner has woken no waiter.
  if (!replace(from, me | waiters_bit)) return lock_result::busy;
  owner_died.store(1, std::memory_order_relaxed);  // only the owner reads it
  return lock_result::owner_died;
}

lock_result robust_lock::try_lock() noexcept {
  const u64 me = this_owner();
  if (replace(os::no_owner, me)) return lock_result::acquired;
  return take_over(word.load(std::memory_order_relaxed), me);
}

lock_result robust_lock::lock(deadline end) noexcept {
  const u64 me = this_owner();
  if (replace(os::no_owner, me)) [[likely]] {
    return lock_result::acquired;
  }
  for (int i = 0; i < spins; ++i) {
    base::relax();
    // relaxed: the CAS decides
    if (word.load(std::memory_order_relaxed) == os::no_owner && replace(os::no_owner, me)) {
      return lock_result::acquired;
    }
  }
  for (wait_backoff backoff(end);;) {
    const bool expired = backoff.expired();
    u64 seen = word.load(std::memory_order_relaxed);
    if (seen == os::no_owner) {
      if (replace(os::no_owner, me | waiters_bit)) return lock_result::acquired;
      continue;
    }
    // Also when the time is over: this thread may have consumed the one wake of an unlock(), and
    // the next unlock() has to wake another waiter.
    if ((seen & waiters_bit) == 0 &&
        !word.compare_exchange_weak(seen, seen | waiters_bit, std::memory_order_relaxed)) {
      continue;
    }
    if (!expired) {
      os::futex_wait(word, static_cast<u32>(seen | waiters_bit), backoff.next_sleep());
      if (!backoff.slice_ended()) continue;
    }
    const lock_result result = take_over(word.load(std::memory_order_relaxed), me);
    if (expired || result != lock_result::busy) return result;
  }
}

void robust_lock::unlock() noexcept {
  if (owner_died.load(std::memory_order_relaxed) != 0) {
    owner_died.store(0, std::memory_order_relaxed);
  }
  // release: for the next owner. After the exchange the memory may be gone: a wake on an address
  // without waiters does nothing.
  if ((word.exchange(os::no_owner, std::memory_order_release) & waiters_bit) != 0) {
    os::futex_wake(word, 1);
  }
}

}  // namespace procpool::sync
