// A lock in shared memory that outlives its owner: whoever waits for it looks now and then whether
// the owner still lives, and takes it over if not.
//
//    63                            1   0
//   +------------------------------+---+   owner: the thread that has it (os/owner_id.hpp),
//   |            owner             | w |          0 when it is free
//   +------------------------------+---+   w:     somebody may sleep on this word
//
//   1. take: 0 -> owner, one CAS
//   2. wait: set w, sleep while the word is what it then is (the futex is its low half: w and most
//      of the owner); after a slice without a change, ask whether that thread has ended
//   3. take over: dead owner -> owner and w, one CAS; died = 1
//   4. leave: died = 0, word = 0 by an exchange; then wake one, if w was set. Who has slept takes
//   it
//      with w set, as others may sleep still
//
// A thread that dies before 1 or after the exchange has nothing. In between the lock is taken over,
// whatever step it was at. A wake that is lost (it dies before the wake, or the woken one dies)
// costs the others the rest of their slice; none is lost otherwise, since whoever sleeps has w in
// the word that it sleeps on. Nothing here points anywhere, the kernel keeps no list of such locks,
// and who leaves does not look at the memory again, so it may go at any time: also at once, when
// the next owner drops the last handle. (A robust pthread mutex is a link of a list that the kernel
// follows, and all processes write.)
#pragma once

#include <atomic>
#include <type_traits>

#include "os/owner_id.hpp"
#include "sync/waiting.hpp"

namespace procpool::sync {

enum class acquired { no, yes, from_the_dead };

struct robust_lock {
  std::atomic<u64> word;
  std::atomic<u32> died;  // 1 when the owner has it from one that died
  u32 unused;

  // May be called by any thread; the one that has it would wait until the end.
  acquired lock(deadline end) noexcept;
  // Does not wait, but does look whether the owner lives.
  acquired try_lock() noexcept;
  // By its owner.
  void unlock() noexcept;

  bool is_mine() const noexcept {
    // relaxed: no other thread writes my identity there, nor takes it away
    return (word.load(std::memory_order_relaxed) & ~wanted) == owned_by_me();
  }
  bool is_locked() const noexcept { return word.load(std::memory_order_relaxed) != os::no_owner; }

 private:
  static constexpr u64 wanted = 1;

  // The highest bit of the identity of a thread is 0.
  static u64 owned_by_me() noexcept { return os::this_thread_owner() << 1U; }
  bool take(u64 from, u64 to) noexcept;
  acquired take_over(u64 from, u64 me) noexcept;
};
static_assert(sizeof(robust_lock) == 16 && std::is_standard_layout_v<robust_lock>);

}  // namespace procpool::sync
