#include "sync/robust_lock.hpp"

#include "base/cycle_clock.hpp"

namespace procpool::sync {
namespace {

constexpr int looks = 100;

}  // namespace

bool robust_lock::take(u64 from, u64 to) noexcept {
  // acquire: what the last owner has done
  return word.compare_exchange_strong(from, to, std::memory_order_acquire,
                                      std::memory_order_relaxed);
}

acquired robust_lock::take_over(u64 from, u64 me) noexcept {
  const u64 owner = from & ~wanted;
  if (owner == os::no_owner || owner == me || !os::has_ended(owner >> 1U)) return acquired::no;
  if (!take(from, me | wanted)) return acquired::no;  // wanted: the dead one has woken nobody
  died.store(1, std::memory_order_relaxed);           // read by the owner only
  return acquired::from_the_dead;
}

acquired robust_lock::try_lock() noexcept {
  const u64 me = owned_by_me();
  if (take(os::no_owner, me)) return acquired::yes;
  return take_over(word.load(std::memory_order_relaxed), me);
}

acquired robust_lock::lock(deadline end) noexcept {
  const u64 me = owned_by_me();
  if (take(os::no_owner, me)) [[likely]] {
    return acquired::yes;
  }
  for (int i = 0; i < looks; ++i) {
    base::relax();
    // relaxed: the CAS decides
    if (word.load(std::memory_order_relaxed) == os::no_owner && take(os::no_owner, me)) {
      return acquired::yes;
    }
  }
  for (slices pause(end);;) {
    const bool over = pause.over();
    u64 seen = word.load(std::memory_order_relaxed);
    if (seen == os::no_owner) {
      if (take(os::no_owner, me | wanted)) return acquired::yes;
      continue;
    }
    // Also when it is over: the one wake for those that sleep may have been ours.
    if ((seen & wanted) == 0 &&
        !word.compare_exchange_weak(seen, seen | wanted, std::memory_order_relaxed)) {
      continue;
    }
    if (!over) {
      os::futex_wait(word, static_cast<u32>(seen | wanted), pause.next());
      if (!pause.due()) continue;
    }
    const acquired a = take_over(word.load(std::memory_order_relaxed), me);
    if (over || a != acquired::no) return a;
  }
}

void robust_lock::unlock() noexcept {
  if (died.load(std::memory_order_relaxed) != 0) died.store(0, std::memory_order_relaxed);
  // release: for the next owner. From here on the memory may be gone: a wake there finds nobody.
  if ((word.exchange(os::no_owner, std::memory_order_release) & wanted) != 0) {
    os::futex_wake(word, 1);
  }
}

}  // namespace procpool::sync
