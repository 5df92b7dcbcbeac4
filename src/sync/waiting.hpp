// How the primitives of this folder wait: on a word of shared memory, in slices that grow from one
// millisecond to a tenth of a second. After each one the waiter looks again, at the state and at
// whether those that it waits for are alive, since a wake can die with the process that it woke or
// that was about to send it. A death so costs time, and never a hang. Any thread; never throws.
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
  // Now for a negative time, and for what is no number.
  static deadline after(duration d) noexcept;

  static deadline in(std::chrono::nanoseconds d) noexcept { return deadline(clock::now() + d); }

  // Nothing once it has passed.
  std::chrono::nanoseconds left() const noexcept;

 private:
  using clock = std::chrono::steady_clock;
  explicit deadline(clock::time_point end) noexcept : end_(end) {}
  clock::time_point end_;
};

// When a waiter looks at more than the word that it sleeps on. The first slice begins with the
// first next(): who need not wait does not look at the clock.
class slices {
 public:
  explicit slices(deadline end) noexcept : end_(end) {}
  bool over() const noexcept { return end_.left() == std::chrono::nanoseconds::zero(); }
  // How long to sleep now; never nothing, so that who is not over() does not spin.
  std::chrono::nanoseconds next() noexcept;
  // Whether the slice has ended, however often the sleep was interrupted; then the next begins.
  bool due() noexcept;

 private:
  deadline end_;
  std::chrono::nanoseconds slice_ = first_slice;
  bool begun_ = false;
  deadline look_ = deadline::never();
};

// What changes when those that sleep here have to look again. In shared memory.
struct channel {
  std::atomic<u32> sequence;
  std::atomic<u32> sleepers;  // one that died here still counts: a system call too many, no more

  u32 now() const noexcept { return sequence.load(std::memory_order_relaxed); }
  // Until there was a signal after `seen`, or the time is over.
  void sleep(u32 seen, std::chrono::nanoseconds time) noexcept;
  void signal(int n) noexcept;
  void signal_all() noexcept;
};
static_assert(sizeof(channel) == 8 && std::is_standard_layout_v<channel>);

}  // namespace procpool::sync
