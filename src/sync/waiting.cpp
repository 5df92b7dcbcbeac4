#include "sync/waiting.hpp"

#include <algorithm>
#include <limits>
#include <utility>

#include "os/clock.hpp"

namespace procpool::sync {

deadline deadline::after(duration d) noexcept {
  const auto now = clock::now();
  if (!(d > duration::zero())) return deadline(now);  // also for NaN
  if (d > duration(4e9)) return never();              // the clock counts nanoseconds in 63 bits
  return deadline(now + std::chrono::ceil<clock::duration>(d));  // never too early
}

std::chrono::nanoseconds deadline::left() const noexcept {
  if (end_ == clock::time_point::max()) return std::chrono::nanoseconds::max();
  return os::time_left(end_);
}

std::chrono::nanoseconds wait_backoff::next_sleep() noexcept {
  if (!std::exchange(begun_, true)) slice_end_ = deadline::in(slice_);
  return std::max<std::chrono::nanoseconds>(std::min(slice_end_.left(), end_.left()),
                                            std::chrono::microseconds(1));
}

bool wait_backoff::slice_ended() noexcept {
  if (slice_end_.left() != std::chrono::nanoseconds::zero()) return false;
  slice_ = std::min<std::chrono::nanoseconds>(2 * slice_, longest_slice);
  slice_end_ = deadline::in(slice_);
  return true;
}

void event_count::wait(u32 seen, std::chrono::nanoseconds time) noexcept {
  // seq_cst, paired with notify(): either the notifier sees this waiter, or the kernel sees the new
  // sequence number
  waiters.fetch_add(1, std::memory_order_seq_cst);
  os::futex_wait(sequence, seen, time);
  waiters.fetch_sub(1, std::memory_order_relaxed);
}

void event_count::notify(int n) noexcept {
  sequence.fetch_add(1, std::memory_order_seq_cst);
  if (waiters.load(std::memory_order_seq_cst) != 0) os::futex_wake(sequence, n);
}

void event_count::notify_all() noexcept { notify(std::numeric_limits<int>::max()); }

}  // namespace procpool::sync
