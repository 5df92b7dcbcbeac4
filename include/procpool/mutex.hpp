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
// A mutex belongs to the thread that locked it. When that thread ends, or its process is killed,
// the next waiting thread gets the mutex within about 0.1 s.
//
// Any thread of the program and its workers, and of processes that these fork, may call these
// functions. Copies refer to the same mutex, which lives while any handle does. Making a mutex
// takes a page of shared memory: throws std::system_error and nested_use_error as shared_array
// does. The mutex is not fair: a thread that unlocks and locks again may get it before waiting
// threads.
#pragma once

#include <cstddef>

#include "procpool/detail/shared/sync_handle.hpp"

namespace procpool {

class PROCPOOL_EXPORT mutex : public detail::sync_handle {
 public:
  mutex();

  // Blocks. Throws invalid_state_error if this thread owns the mutex.
  void lock() const;
  // False if another thread owns the mutex; does not block.
  bool try_lock() const;
  // Blocks for this long at most; false if another thread still owns the mutex then.
  bool try_lock_for(duration d) const;
  bool try_lock_until(detail::wait_end end) const { return try_lock_for(end.left()); }
  // Throws invalid_state_error unless this thread owns the mutex.
  void unlock() const;

  // For the owner: whether the previous owner died with the mutex locked, so that the protected
  // data may be inconsistent. Stays true until unlock().
  bool owner_died() const;
  // Whether any thread, alive or dead, owns the mutex at this moment.
  bool locked() const;
  // Whether this thread owns the mutex.
  bool is_mine() const;

 private:
  friend detail::sync_wire<mutex>;
  using sync_handle::sync_handle;
  static constexpr auto kind = detail::sync_kind::mutex;
  static constexpr std::size_t least_bytes = 32;
};

// The same, except that its owner may lock it again, and must unlock it as often.
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
  // How many times this thread has locked the mutex.
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
