#include "sync/waiting.hpp"

#include <algorithm>
#include <limits>
#include <utility>

#include "os/clock.hpp"

namespace procpool::sync {

deadline deadline::after(duration d) noexcept {
  const auto now = clock::now();
  if (!(d > duration::zero())) return deadline(now);  // also not a number
  if (d > duration(4e9)) return never();              // the clock counts nanoseconds in 63 bits
  return deadline(now + std::chrono::ceil<clock::duration>(d));  // never too early
}

std::chrono::nanoseconds deadline::left() const noexcept {
  if (end_ == clock::time_point::max()) return std::chrono::nanoseconds::max();
  return os::time_left(end_);
}

std::chrono::nanoseconds slices::next() noexcept {
  if (!std::exchange(begun_, true)) look_ = deadline::in(slice_);
  return std::max<std::chrono::nanoseconds>(std::min(look_.left(), end_.left()),
                                            std::chrono::microseconds(1));
}

bool slices::due() noexcept {
  if (look_.left() != std::chrono::nanoseconds::zero()) return false;
  slice_ = std::min<std::chrono::nanoseconds>(2 * slice_, longest_slice);
  look_ = deadline::in(slice_);
  return true;
}

void channel::sleep(u32 seen, std::chrono::nanoseconds time) noexcept {
  // seq_cst, with signal(): either it sees a sleeper, or the kernel sees its new number
  sleepers.fetch_add(1, std::memory_order_seq_cst);
  os::futex_wait(sequence, seen, time);
  sleepers.fetch_sub(1, std::memory_order_relaxed);
}

void channel::signal(int n) noexcept {
  sequence.fetch_add(1, std::memory_order_seq_cst);
  if (sleepers.load(std::memory_order_seq_cst) != 0) os::futex_wake(sequence, n);
}

void channel::signal_all() noexcept { signal(std::numeric_limits<int>::max()); }

}  // namespace procpool::sync
