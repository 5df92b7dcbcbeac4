// procpool::event: one word. Bit 0 says whether the event is set, the other bits count how often it
// has been set, so that a waiter notices a set() even if clear() follows at once.
//
//   state before -> after        | by      | operation
//   -----------------------------+---------+-----------------------------------------------
//   count, 0 -> count + 1, 1     | any, CAS| set(); then a wake for all waiters, if there are any
//   count, 1 -> count, 1         | any     | set() again: only the wake
//   count, b -> count, 0         | any     | clear()
//
// wait() returns when bit 0 is 1, or the state differs from the one at its begin.
//
// Each change is one atomic operation, so a death leaves nothing half done but a lost wake, which
// costs the waiters the rest of their slice.
#include "procpool/event.hpp"

#include <atomic>
#include <limits>

#include "sync/object.hpp"

namespace procpool {
namespace {

using sync::u32;

constexpr u32 is_set_bit = 1;

struct event_words {
  std::atomic<sync::u64> kind;
  std::atomic<u32> state;
  std::atomic<u32> waiters;  // a waiter that died still counts, at the price of needless wakes
};
static_assert(sizeof(event_words) == 16 && std::is_standard_layout_v<event_words>);

event_words& event_in(std::byte* memory) { return sync::object_in<event_words>(memory); }

bool wait_limited(event_words& words, sync::deadline end) {
  // acquire: what the setting process did before set()
  const u32 first = words.state.load(std::memory_order_acquire);
  if ((first & is_set_bit) != 0) return true;
  for (sync::wait_backoff backoff(end); !backoff.expired(); backoff.slice_ended()) {
    // seq_cst, paired with set(): either set() sees this waiter, or the kernel sees that the event
    // is set
    words.waiters.fetch_add(1, std::memory_order_seq_cst);
    os::futex_wait(words.state, first, backoff.next_sleep());
    words.waiters.fetch_sub(1, std::memory_order_relaxed);
    if (words.state.load(std::memory_order_acquire) != first) return true;
  }
  return false;
}

}  // namespace

event::event() : sync_handle(kind, sizeof(event_words)) {}

bool event::is_set() const {
  return (event_in(memory()).state.load(std::memory_order_acquire) & is_set_bit) != 0;
}

void event::set() const {
  event_words& words = event_in(memory());
  u32 now = words.state.load(std::memory_order_relaxed);
  do {
    if ((now & is_set_bit) != 0) break;
    // now + 3 sets bit 0 and adds one to the count. seq_cst: releases what was done before, and is
    // ordered before the load of `waiters`
  } while (!words.state.compare_exchange_weak(now, now + 3, std::memory_order_seq_cst,
                                              std::memory_order_relaxed));
  // Also if it was set already: the process that set it may have died before it woke the waiters.
  if (words.waiters.load(std::memory_order_seq_cst) != 0) {
    os::futex_wake(words.state, std::numeric_limits<int>::max());
  }
}

void event::clear() const {
  // release: what was done before is visible to a later waiter
  event_in(memory()).state.fetch_and(~is_set_bit, std::memory_order_release);
}

void event::wait() const { wait_limited(event_in(memory()), sync::deadline::never()); }

bool event::wait_for(duration d) const {
  return wait_limited(event_in(memory()), sync::deadline::after(d));
}

}  // namespace procpool
