// A robust lock in shared memory: when its owner dies, a waiter finds out and takes the lock over.
// Everything is in one word, which is also the futex that waiters sleep on (its low half).
//
//    63                            1   0
//   +------------------------------+---+   owner: identity of the owning thread (os/owner_id.hpp),
//   |            owner             | w |          0 when the lock is free
//   +------------------------------+---+   w:     waiters may sleep on this word
//
//   word before -> after   | by                        | operation
//   -----------------------+---------------------------+-------------------------------------------
//   0        -> me         | any thread, CAS           | lock(), try_lock(): uncontended
//   0        -> me+w       | a thread that has waited, | lock(): others may sleep still, so w stays
//                          | CAS                       |
//   O        -> O+w        | a waiter, CAS             | lock(): before it sleeps
//   O        -> 0          | the owner, exchange       | unlock()
//   O+w      -> 0          | the owner, exchange       | unlock(), then a wake for one waiter
//   D or D+w -> me+w       | any thread that finds that| lock() after each slice, try_lock();
//                          | owner D has ended, CAS    | owner_died = 1
//
// Why it survives a death at any point: before the first CAS and after the exchange the dying
// thread owns nothing; in between the word names it, and a waiter takes the lock over. A wake that
// is lost (the owner dies between exchange and wake, or the woken waiter dies) costs the other
// waiters the rest of their slice. No other wake can be lost, since every sleeper sleeps on a word
// that has w set.
//
// The word is not touched after the exchange in unlock(): the next owner may drop the last handle,
// and with it this memory, at once. A robust pthread mutex does not fit: it is linked into a list
// through shared memory that the kernel follows and every process can overwrite.
#pragma once

#include <atomic>
#include <type_traits>

#include "os/owner_id.hpp"
#include "sync/waiting.hpp"

namespace procpool::sync {

enum class lock_result {
  busy,        // not acquired in time
  acquired,    // from the previous owner, which unlocked it
  owner_died,  // acquired from an owner that has ended: what the lock protects may be half changed
};

struct robust_lock {
  std::atomic<u64> word;
  std::atomic<u32> owner_died;  // 1 while the owner has the lock from an owner that died
  u32 unused;

  // Any thread; the owner itself would wait until the deadline.
  lock_result lock(deadline end) noexcept;
  // Does not wait, but does check whether the owner is alive.
  lock_result try_lock() noexcept;
  // By the owner only.
  void unlock() noexcept;

  bool is_mine() const noexcept {
    // relaxed: only this thread stores and removes its own identity
    return (word.load(std::memory_order_relaxed) & ~waiters_bit) == this_owner();
  }
  bool is_locked() const noexcept { return word.load(std::memory_order_relaxed) != os::no_owner; }

 private:
  static constexpr u64 waiters_bit = 1;

  // The highest bit of a thread's identity is 0, so nothing is shifted out.
  static u64 this_owner() noexcept { return os::this_thread_owner() << 1U; }
  bool replace(u64 from, u64 to) noexcept;
  lock_result take_over(u64 from, u64 me) noexcept;
};
static_assert(sizeof(robust_lock) == 16 && std::is_standard_layout_v<robust_lock>);

}  // namespace procpool::sync
