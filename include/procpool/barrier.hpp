// procpool::barrier: a fixed number of threads, in any processes, wait until all of them are there.
//
//   const std::size_t place = b.wait();     // blocks; each has another of 0 .. parties - 1
//   if (place == 0) print_summary();        // one of them
//   b.wait();                               // and again
//
// When one of them dies while it waits, when it does not come in time, or when somebody calls
// abort(), the barrier is broken: all that wait, and all that come later, get
// broken_barrier_error, until reset(). A party that dies before it comes cannot be told from one
// that is late: use wait_for where that can happen. Tasks that meet at a barrier must run at the
// same time, each in a worker of its own: have as many workers, or they wait for
// tasks that have not begun.
//
// Any thread, as with mutex; handles, as there.
#pragma once

#include <cstddef>

#include "procpool/detail/sync_handle.hpp"

namespace procpool {

class PROCPOOL_EXPORT barrier : public detail::sync_handle {
 public:
  // Throws std::invalid_argument unless it is in 1 .. 65,536.
  explicit barrier(std::size_t parties);

  // Blocks until all parties are there. Throws broken_barrier_error.
  std::size_t wait() const;
  // The same; if they are not all there after this long, the barrier breaks.
  std::size_t wait_for(duration d) const;
  std::size_t wait_until(detail::wait_end end) const { return wait_for(end.left()); }

  // Breaks it. Does not block.
  void abort() const;
  // As new: those that wait get broken_barrier_error, those that come later do not.
  void reset() const;

  bool broken() const;
  std::size_t parties() const;
  // How many wait at this moment.
  std::size_t waiting() const;

 private:
  friend detail::sync_wire<barrier>;
  using sync_handle::sync_handle;
  static constexpr auto kind = detail::sync_kind::barrier;
  static constexpr std::size_t least_bytes = 256;

  std::size_t wait_limited(const duration* limit) const;
};

namespace detail {

template <>
struct wire<barrier> : sync_wire<barrier> {};

}  // namespace detail
}  // namespace procpool
