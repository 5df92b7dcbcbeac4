// A lock in shared memory that outlives its owner: whoever waits for it looks now and then whether
// the owner still lives, and takes it over if not.
//
//   owner    the life of the thread that has it (os/life.hpp), 0 when it is free
//   wanted   1 when somebody may sleep on `owner`
//   died     1 when the owner has it from one that died
//
//   1. take: owner 0 -> mine, one CAS
//   2. wait: wanted = 1, sleep while owner is what was seen (the futex is its low half); after a
//      slice without a change, ask whether that thread has ended
//   3. take over: owner, dead -> mine, one CAS; died = 1
//   4. leave: died = 0, owner = 0, then wake one if wanted
//
// A thread that dies before 1 or after `owner = 0` has nothing. In between the lock is taken over,
// whatever step it was at. A wake that is lost (it dies before the wake, or the woken one dies)
// costs the others the rest of their slice. Nothing here points anywhere, and the kernel keeps no
// list of such locks, so the memory may go at any time. (A robust pthread mutex is a link of a list
// that the kernel follows, and all processes write.)
#pragma once

#include <atomic>
#include <type_traits>

#include "os/life.hpp"
#include "sync/waiting.hpp"

namespace procpool::sync {

enum class acquired { no, yes, from_the_dead };

struct robust_lock {
  std::atomic<u64> owner;
  std::atomic<u32> wanted;
  std::atomic<u32> died;

  // May be called by any thread; the one that has it would wait until the end.
  acquired lock(deadline end) noexcept;
  // Does not wait, but does look whether the owner lives.
  acquired try_lock() noexcept;
  // By its owner.
  void unlock() noexcept;

  bool is_mine() const noexcept {
    // relaxed: no other thread writes my life there, nor takes it away
    return owner.load(std::memory_order_relaxed) == os::this_thread_life();
  }
  bool is_locked() const noexcept { return owner.load(std::memory_order_relaxed) != os::nobody; }

 private:
  bool take(u64 from, u64 me) noexcept;
  acquired take_over(u64 from, u64 me) noexcept;
};
static_assert(sizeof(robust_lock) == 16 && std::is_standard_layout_v<robust_lock>);

}  // namespace procpool::sync
