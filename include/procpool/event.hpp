// procpool::event: a flag that processes wait for.
//
//   procpool::event ready;
//   auto f = pool.submit([](const procpool::event& e) { e.wait(); return 42; }, ready);
//   ready.set();
//
// Thread-safety and handles: as with mutex. An event has no owner, so no death affects it.
#pragma once

#include <cstddef>

#include "procpool/detail/shared/sync_handle.hpp"

namespace procpool {

class PROCPOOL_EXPORT event : public detail::sync_handle {
 public:
  event();  // not set

  bool is_set() const;
  // Wakes all waiters, even if the event is cleared at once. Does not block.
  void set() const;
  void clear() const;

  // Blocks until the event is set.
  void wait() const;
  // Blocks for this long at most; returns whether the event was set.
  bool wait_for(duration d) const;
  bool wait_until(detail::wait_end end) const { return wait_for(end.left()); }

 private:
  friend detail::sync_wire<event>;
  using sync_handle::sync_handle;
  static constexpr auto kind = detail::sync_kind::event;
  static constexpr std::size_t least_bytes = 16;
};

namespace detail {

template <>
struct wire<event> : sync_wire<event> {};

}  // namespace detail
}  // namespace procpool
