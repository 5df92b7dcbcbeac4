// procpool::condition_variable: std::condition_variable between processes, with procpool::mutex or
// procpool::recursive_mutex.
//
//   std::unique_lock lock(m);
//   changed.wait(lock, [&] { return state->ready; });
//
// A process that dies while it waits is removed, and a notification that reaches it as it dies is
// passed on to another waiter. If a process dies after it has reacquired the mutex, the next owner
// of the mutex sees owner_died().
//
// Thread-safety and handles: as with mutex. As in C++, a wait may return without a notification:
// use the functions with a predicate. These check the predicate at least once a second, so they
// also return when a process has made it true and died before it could notify.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <mutex>
#include <utility>

#include "procpool/mutex.hpp"

namespace procpool {

class PROCPOOL_EXPORT condition_variable : public detail::sync_handle {
 public:
  condition_variable();

  // Wakes n waiters, the longest-waiting one, or all. The mutex may be locked or not. Does not
  // block.
  void notify_one() const { notify(1); }
  void notify_all() const { notify(static_cast<std::size_t>(-1)); }
  // Wakes n waiters, or all if fewer wait.
  void notify(std::size_t n) const;

  // Unlocks, blocks until a notification comes, and locks again. Throws invalid_state_error before
  // it waits, unless this thread has locked the mutex (exactly once, if it is recursive).
  template <class Mutex>
  void wait(std::unique_lock<Mutex>& lock) const {
    wait_limited(lock, nullptr);
  }
  template <class Mutex, class Predicate>
  void wait(std::unique_lock<Mutex>& lock, Predicate holds) const {
    while (!holds()) wait_for(lock, look_again);
  }

  // Waits for this long at most, not counting the time to lock the mutex again.
  template <class Mutex>
  std::cv_status wait_for(std::unique_lock<Mutex>& lock, duration d) const {
    return wait_limited(lock, &d) ? std::cv_status::no_timeout : std::cv_status::timeout;
  }
  // Returns the predicate's value at the end.
  template <class Mutex, class Predicate>
  bool wait_for(std::unique_lock<Mutex>& lock, duration d, Predicate holds) const {
    return wait_until(lock, detail::wait_end(d), std::move(holds));
  }
  template <class Mutex>
  std::cv_status wait_until(std::unique_lock<Mutex>& lock, detail::wait_end end) const {
    return wait_for(lock, end.left());
  }
  template <class Mutex, class Predicate>
  bool wait_until(std::unique_lock<Mutex>& lock, detail::wait_end end, Predicate holds) const {
    while (!holds()) {
      const duration left = end.left();
      const bool last = !(left > look_again);
      const bool late = wait_for(lock, last ? left : look_again) == std::cv_status::timeout;
      if (last && late) return holds();
    }
    return true;
  }

 private:
  friend detail::sync_wire<condition_variable>;
  using sync_handle::sync_handle;
  static constexpr auto kind = detail::sync_kind::condition_variable;
  static constexpr std::size_t least_bytes = 16384;

  // How often a predicate is checked at least: the notifying process may have died.
  static constexpr duration look_again{1};

  // A waiter's place in the queue, until the waiter leaves.
  class PROCPOOL_EXPORT waiter {
   public:
    explicit waiter(const condition_variable& of);
    ~waiter();
    waiter(const waiter&) = delete;
    waiter& operator=(const waiter&) = delete;
    void sleep(const duration* limit);
    // Whether a notification has come. Gives the place up.
    bool leave();

   private:
    const condition_variable& of_;
    std::size_t slot_;
    bool expired_ = false;  // of a waiter without a slot: its time is over
  };

  static void check(const mutex& m);
  static void check(const recursive_mutex& m);
  [[noreturn]] static void throw_not_locked();

  template <class Mutex>
  bool wait_limited(std::unique_lock<Mutex>& lock, const duration* limit) const {
    if (!lock.owns_lock()) throw_not_locked();
    check(*lock.mutex());
    waiter self(*this);
    lock.unlock();
    self.sleep(limit);
    lock.lock();
    // Not before: the notification of a waiter that dies until here passes to another waiter.
    return self.leave();
  }
};

namespace detail {

template <>
struct wire<condition_variable> : sync_wire<condition_variable> {};

}  // namespace detail
}  // namespace procpool
