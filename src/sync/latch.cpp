// procpool::latch: one word, the count that is left; waiters sleep on it until it is 0. Each
// count_down() is one CAS, and the call that reaches 0 wakes all waiters. A death before the CAS
// has not counted, a death between CAS and wake costs the waiters the rest of their slice.
#include "procpool/latch.hpp"

#include <atomic>
#include <limits>
#include <stdexcept>
#include <string>

#include "procpool/errors.hpp"
#include "sync/object.hpp"

namespace procpool {
namespace {

using sync::u32;

constexpr std::ptrdiff_t highest = std::numeric_limits<std::int32_t>::max();

struct latch_words {
  std::atomic<sync::u64> kind;
  std::atomic<u32> left;
  u32 unused;
};
static_assert(sizeof(latch_words) == 16 && std::is_standard_layout_v<latch_words>);

latch_words& latch_in(std::byte* memory) { return sync::object_in<latch_words>(memory); }

bool wait_limited(latch_words& words, sync::deadline end) {
  for (sync::wait_backoff backoff(end);; backoff.slice_ended()) {
    // acquire: what all parties did before they counted down
    const u32 left = words.left.load(std::memory_order_acquire);
    if (left == 0) return true;
    if (backoff.expired()) return false;
    os::futex_wait(words.left, left, backoff.next_sleep());
  }
}

}  // namespace

latch::latch(std::ptrdiff_t count) : sync_handle(kind, sizeof(latch_words)) {
  if (count < 0 || count > highest) {
    throw std::invalid_argument("procpool: a latch cannot begin with " + std::to_string(count));
  }
  // relaxed: other processes get the handle by a task, which orders this store
  latch_in(memory()).left.store(static_cast<u32>(count), std::memory_order_relaxed);
}

void latch::count_down(std::ptrdiff_t n) const {
  if (n < 0) throw std::invalid_argument("procpool: count_down(" + std::to_string(n) + ")");
  latch_words& words = latch_in(memory());
  u32 left = words.left.load(std::memory_order_relaxed);
  do {
    if (n > static_cast<std::ptrdiff_t>(left)) {
      throw invalid_state_error("count_down(" + std::to_string(n) + ") of a latch with " +
                                std::to_string(left) + " left");
    }
    // acquire and release: what all parties did before they counted down is visible to the waiters
  } while (!words.left.compare_exchange_weak(left, left - static_cast<u32>(n),
                                             std::memory_order_acq_rel, std::memory_order_relaxed));
  if (left == static_cast<u32>(n)) os::futex_wake(words.left, std::numeric_limits<int>::max());
}

bool latch::try_wait() const {
  return latch_in(memory()).left.load(std::memory_order_acquire) == 0;
}

void latch::wait() const { wait_limited(latch_in(memory()), sync::deadline::never()); }

bool latch::wait_for(duration d) const {
  return wait_limited(latch_in(memory()), sync::deadline::after(d));
}

}  // namespace procpool
