// procpool::event: one word, bit 0 says whether it is set, the others count how often it was. Those
// that wait see that it was set even if it is cleared at once. Each change is one CAS, so a death
// leaves nothing half done but a wake, which costs the others a slice.
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
  std::atomic<u32> sleepers;
};
static_assert(sizeof(event_words) == 16 && std::is_standard_layout_v<event_words>);

event_words& words_in(std::byte* memory) { return sync::object_in<event_words>(memory); }

bool wait_limited(event_words& words, sync::deadline end) {
  // acquire: what was done before set()
  const u32 first = words.state.load(std::memory_order_acquire);
  if ((first & is_set_bit) != 0) return true;
  for (sync::slices pause(end); !pause.over(); pause.due()) {
    // seq_cst, with set(): either it sees a sleeper, or the kernel sees that the event is set
    words.sleepers.fetch_add(1, std::memory_order_seq_cst);
    os::futex_wait(words.state, first, pause.next());
    words.sleepers.fetch_sub(1, std::memory_order_relaxed);
    if (words.state.load(std::memory_order_acquire) != first) return true;
  }
  return false;
}

}  // namespace

event::event() : sync_handle(kind, sizeof(event_words)) {}

bool event::is_set() const {
  return (words_in(memory()).state.load(std::memory_order_acquire) & is_set_bit) != 0;
}

void event::set() const {
  event_words& words = words_in(memory());
  u32 now = words.state.load(std::memory_order_relaxed);
  do {
    if ((now & is_set_bit) != 0) break;
    // release: what was done before
  } while (!words.state.compare_exchange_weak(now, now + 3, std::memory_order_seq_cst,
                                              std::memory_order_relaxed));
  // Also if it was set already: whoever did that may have died before this.
  if (words.sleepers.load(std::memory_order_seq_cst) != 0) {
    os::futex_wake(words.state, std::numeric_limits<int>::max());
  }
}

void event::clear() const {
  // release: whoever waits from now on sees what was done before
  words_in(memory()).state.fetch_and(~is_set_bit, std::memory_order_release);
}

void event::wait() const { wait_limited(words_in(memory()), sync::deadline::never()); }

bool event::wait_for(duration d) const {
  return wait_limited(words_in(memory()), sync::deadline::after(d));
}

}  // namespace procpool
