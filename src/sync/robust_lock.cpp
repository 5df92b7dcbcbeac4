#include "sync/robust_lock.hpp"

#include "base/cycle_clock.hpp"

namespace procpool::sync {
namespace {

constexpr int looks = 100;

}  // namespace

bool robust_lock::take(u64 from, u64 me) noexcept {
  // acquire: what the last owner has done
  return owner.compare_exchange_strong(from, me, std::memory_order_acquire,
                                       std::memory_order_relaxed);
}

acquired robust_lock::take_over(u64 from, u64 me) noexcept {
  if (from == os::nobody || from == me || !os::has_ended(from)) return acquired::no;
  if (!take(from, me)) return acquired::no;
  died.store(1, std::memory_order_relaxed);    // read by the owner only
  wanted.store(1, std::memory_order_relaxed);  // the dead one has woken nobody
  return acquired::from_the_dead;
}

acquired robust_lock::try_lock() noexcept {
  const u64 me = os::this_thread_life();
  if (take(os::nobody, me)) return acquired::yes;
  return take_over(owner.load(std::memory_order_relaxed), me);
}

acquired robust_lock::lock(deadline end) noexcept {
  const u64 me = os::this_thread_life();
  if (take(os::nobody, me)) [[likely]] {
    return acquired::yes;
  }
  for (int i = 0; i < looks; ++i) {
    base::relax();
    // relaxed: the CAS decides
    if (owner.load(std::memory_order_relaxed) == os::nobody && take(os::nobody, me)) {
      return acquired::yes;
    }
  }
  for (slices pause(end);;) {
    // Also before it is taken: others may sleep. seq_cst, with unlock(): either it sees this, or
    // the kernel sees that the owner has changed.
    wanted.store(1, std::memory_order_seq_cst);
    const u64 seen = owner.load(std::memory_order_seq_cst);
    if (seen == os::nobody) {
      if (take(os::nobody, me)) return acquired::yes;
      continue;
    }
    const bool over = pause.over();
    if (!over) os::futex_wait(owner, static_cast<u32>(seen), pause.next());
    if (!over && !pause.due()) continue;
    if (const acquired a = take_over(seen, me); a != acquired::no) return a;
    if (over) return acquired::no;
  }
}

void robust_lock::unlock() noexcept {
  if (died.load(std::memory_order_relaxed) != 0) died.store(0, std::memory_order_relaxed);
  // seq_cst: see lock(); release: for the next owner
  owner.store(os::nobody, std::memory_order_seq_cst);
  if (wanted.load(std::memory_order_seq_cst) != 0 &&
      wanted.exchange(0, std::memory_order_relaxed) != 0) {
    os::futex_wake(owner, 1);
  }
}

}  // namespace procpool::sync
