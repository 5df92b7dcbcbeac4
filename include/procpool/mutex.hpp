// procpool::mutex and procpool::recursive_mutex: std::timed_mutex and std::recursive_timed_mutex
// between processes. With std::lock_guard, std::unique_lock and std::scoped_lock.
//
//   procpool::mutex m;                                   // a handle: pass it to tasks
//   pool.for_each([](procpool::mutex m, ...) {
//     const std::lock_guard lock(m);
//     if (m.owner_died()) repair();
//     ...
//   }, ...
//
// It belongs to the thread that locked it. When that thread ends, or its process is killed, it is
// handed on to the next that wants it, within about a tenth of a second.
//
// Operations may be called by any thread of the program and its workers, and of processes that
// these fork. Copies refer to the same mutex, which lives while any handle does. Making one takes a
// page of shared memory: throws std::system_error and nested_use_error as shared_array does. Nobody
// is served in turn: a thread that unlocks and locks again may have it before those that wait.
#pragma once

#include <cstddef>

#include "procpool/detail/shared/sync_handle.hpp"

namespace procpool {

class PROCPOOL_EXPORT mutex : public detail::sync_handle {
 public:
  mutex();

  // Blocks. Throws invalid_state_error if this thread has it.
  void lock() const;
  // False if somebody has it; does not block.
  bool try_lock() const;
  // Blocks for this long at most; false if it was not to be had.
  bool try_lock_for(duration d) const;
  bool try_lock_until(detail::wait_end end) const { return try_lock_for(end.left()); }
  // Throws invalid_state_error unless this thread has it.
  void unlock() const;

  // For its owner: whether it was taken over from one that died, so that what it protects may be
  // half changed. True until it is unlocked.
  bool owner_died() const;
  // Whether anybody has it at this moment, be he dead.
  bool locked() const;
  // Whether this thread has it.
  bool is_mine() const;

 private:
  friend detail::sync_wire<mutex>;
  using sync_handle::sync_handle;
  static constexpr auto kind = detail::sync_kind::mutex;
  static constexpr std::size_t least_bytes = 32;
};

// The same, except that its owner may lock it again, and unlocks it as often.
class PROCPOOL_EXPORT recursive_mutex : public detail::sync_handle {
 public:
  recursive_mutex();

  void lock() const;
  bool try_lock() const;
  bool try_lock_for(duration d) const;
  bool try_lock_until(detail::wait_end end) const { return try_lock_for(end.left()); }
  void unlock() const;
  bool owner_died() const;
  bool locked() const;
  // How often this thread has it locked.
  std::size_t depth() const;

 private:
  friend detail::sync_wire<recursive_mutex>;
  using sync_handle::sync_handle;
  static constexpr auto kind = detail::sync_kind::recursive_mutex;
  static constexpr std::size_t least_bytes = 32;
};

namespace detail {

template <>
struct wire<mutex> : sync_wire<mutex> {};
template <>
struct wire<recursive_mutex> : sync_wire<recursive_mutex> {};

}  // namespace detail
}  // namespace procpool
