// How the primitives of this folder wait on a word of shared memory.
//
// A wake-up can be lost: the process that was about to send it dies, or the process that the kernel
// has woken dies before it acts. So no wait relies on a wake-up alone. Every wait is cut into
// slices, of 1 ms at first and 100 ms at most; after each slice the waiter checks the state again,
// and whether the processes that it waits for are alive. A death costs the others time, and never
// makes them hang.
//
// Any thread; nothing here throws.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <type_traits>

#include "os/futex.hpp"
#include "procpool/options.hpp"

namespace procpool::sync {

using u32 = std::uint32_t;
using u64 = std::uint64_t;

inline constexpr std::chrono::milliseconds first_slice{1}, longest_slice{100};

// The end of a wait.
class deadline {
 public:
  static deadline never() noexcept { return deadline(clock::time_point::max()); }
  // A negative duration, and one that is not a number, count as zero.
  static deadline after(duration d) noexcept;

  static deadline in(std::chrono::nanoseconds d) noexcept { return deadline(clock::now() + d); }

  // The time until the deadline; zero once it has passed.
  std::chrono::nanoseconds left() const noexcept;

 private:
  using clock = std::chrono::steady_clock;
  explicit deadline(clock::time_point end) noexcept : end_(end) {}
  clock::time_point end_;
};

// The slices of one wait: each is twice as long as the one before, up to longest_slice. The first
// slice begins with the first next_sleep(), so that an operation that need not wait never reads the
// clock.
class wait_backoff {
 public:
  explicit wait_backoff(deadline end) noexcept : end_(end) {}
  // Whether the deadline of the whole wait has passed.
  bool expired() const noexcept { return end_.left() == std::chrono::nanoseconds::zero(); }
  // How long to sleep now: the rest of the slice or of the wait. Never zero, so that a waiter that
  // has not expired does not spin.
  std::chrono::nanoseconds next_sleep() noexcept;
  // Whether the slice has ended (a sleep may have been interrupted earlier); if so, the next slice
  // begins, and the caller checks the state and the liveness of others.
  bool slice_ended() noexcept;

 private:
  deadline end_;
  std::chrono::nanoseconds slice_ = first_slice;
  bool begun_ = false;
  deadline slice_end_ = deadline::never();
};

// An event count in shared memory: a sequence number that grows with every notification, and the
// number of waiters, so that a notification without waiters needs no system call. A waiter reads
// current(), checks its condition, and then calls wait(): a notification in between changes the
// sequence, and the kernel does not let it sleep.
struct event_count {
  std::atomic<u32> sequence;  // the futex
  std::atomic<u32> waiters;   // a waiter that died still counts, at the price of needless wakes

  u32 current() const noexcept { return sequence.load(std::memory_order_relaxed); }
  // Returns after a notification later than `seen`, when the time is over, or spuriously.
  void wait(u32 seen, std::chrono::nanoseconds time) noexcept;
  void notify(int n) noexcept;
  void notify_all() noexcept;
};
static_assert(sizeof(event_count) == 8 && std::is_standard_layout_v<event_count>);

}  // namespace procpool::sync
