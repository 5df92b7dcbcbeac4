// procpool::latch: std::latch between processes, a count that goes down to 0 once.
//
// Thread-safety and handles: as with mutex. The latch does not know which process is going to count
// down: if that process dies, the count stays. Where this can happen, use wait_for, or wait for the
// futures of the tasks instead.
#pragma once

#include <cstddef>

#include "procpool/detail/shared/sync_handle.hpp"

namespace procpool {

class PROCPOOL_EXPORT latch : public detail::sync_handle {
 public:
  // Throws std::invalid_argument unless the count is in 0 .. 2^31 - 1.
  explicit latch(std::ptrdiff_t count);

  // Does not block. Throws std::invalid_argument if n is negative, invalid_state_error if the count
  // is below n.
  void count_down(std::ptrdiff_t n = 1) const;
  // Whether the count is 0.
  bool try_wait() const;
  // Blocks until the count is 0.
  void wait() const;
  // Blocks for this long at most; returns whether the count is 0.
  bool wait_for(duration d) const;
  bool wait_until(detail::wait_end end) const { return wait_for(end.left()); }
  void arrive_and_wait(std::ptrdiff_t n = 1) const {
    count_down(n);
    wait();
  }

 private:
  friend detail::sync_wire<latch>;
  using sync_handle::sync_handle;
  static constexpr auto kind = detail::sync_kind::latch;
  static constexpr std::size_t least_bytes = 16;
};

namespace detail {

template <>
struct wire<latch> : sync_wire<latch> {};

}  // namespace detail
}  // namespace procpool
