// procpool::condition_variable: a queue of waiters in shared memory, ordered by tickets, so that
// notify_one() wakes the waiter that has waited longest.
//
//   +----------------+-------------+------------+----------------------------+----------+
//   | guarded_header | next_ticket | slots_used | waiter slots: one a waiter | undo log |
//   +----------------+-------------+------------+----------------------------+----------+
//
//   condition_waiter: owner  the waiting thread; no_owner: the slot is free
//                state  ticket << 1 | notified; the futex that this waiter sleeps on
//
//   slot      | owner  | notified | goes to
//   ----------+--------+----------+--------------------------------------------------------------
//   free      | 0      | -        | waiting: wait() takes the first free slot and the next ticket
//   waiting   | thread | 0        | notified: notify() marks the slot with the lowest ticket and
//             |        |          |   wakes it;  free: the wait has timed out, or the waiter died
//   notified  | thread | 1        | free: the waiter has the mutex again;  or it died: then the
//             |        |          |   notification is passed on to the next waiting slot
//
// Every change is a transaction. A waiter keeps its slot until it has the mutex again, so that a
// notification that a dying process has received can be passed on. Waiters look for slots of dead
// threads after each slice of their sleep.
//
// notify_all() serves the tickets that exist when it begins: a thread that waits later, perhaps
// after it was woken by this very call, is not notified. When all slots are taken, a further waiter
// sleeps for one slice and returns as by a spurious wake-up.
#include "procpool/condition_variable.hpp"

#include <algorithm>
#include <atomic>

#include "procpool/errors.hpp"
#include "sync/object.hpp"
#include "sync/transaction.hpp"

namespace procpool {
namespace {

using sync::transaction;
using sync::u32;
using sync::u64;

constexpr std::size_t undo_capacity = 8;
constexpr std::size_t no_slot = static_cast<std::size_t>(-1);
constexpr u64 notified = 1;

struct condition_waiter {
  std::atomic<u64> owner;
  std::atomic<u64> state;
};
static_assert(sizeof(condition_waiter) == 16 && std::is_standard_layout_v<condition_waiter>);

struct condition_words {
  sync::guarded_header header;
  std::atomic<u64> next_ticket;
  std::atomic<u64> slots_used;  // slots from this one on were never taken
};
static_assert(sizeof(condition_words) == 56 && std::is_standard_layout_v<condition_words>);

constexpr std::size_t object_bytes = 16384;
constexpr std::size_t slot_count =
    (object_bytes - sizeof(condition_words) - undo_capacity * sizeof(sync::undo_record)) /
    sizeof(condition_waiter);

// A condition variable as this process has it mapped.
struct condition_view {
  sync::guarded_memory memory;
  condition_words& words;
  condition_waiter* slots;

  explicit condition_view(std::byte* data)
      : memory{data, object_bytes, undo_capacity},
        words(memory.as<condition_words>()),
        slots(reinterpret_cast<condition_waiter*>(data + sizeof(condition_words))) {}

  std::size_t used() const { return std::min<u64>(transaction::get(words.slots_used), slot_count); }

  // Returns no_slot if all are taken.
  std::size_t acquire_slot() const {
    transaction tx(memory);
    std::size_t i = 0;
    while (i < slot_count && transaction::get(slots[i].owner) != os::no_owner) ++i;
    if (i == slot_count) return no_slot;
    const u64 ticket = transaction::get(words.next_ticket);
    tx.set(words.next_ticket, ticket + 1);
    tx.set(slots[i].state, ticket << 1U);
    tx.set(slots[i].owner, os::this_thread_owner());
    if (i >= transaction::get(words.slots_used)) tx.set(words.slots_used, i + 1);
    return i;
  }

  // Notifies the waiter with the lowest ticket below `end`, and returns its slot; no_slot if there
  // is none. The caller wakes it after the transaction.
  std::size_t notify_oldest(transaction& tx, u64 end) const {
    std::size_t oldest = no_slot;
    for (std::size_t i = 0, n = used(); i < n; ++i) {
      const u64 state = transaction::get(slots[i].state);
      if (transaction::get(slots[i].owner) == os::no_owner || (state & notified) != 0) continue;
      if (state >> 1U >= end) continue;
      if (oldest == no_slot || state < transaction::get(slots[oldest].state)) oldest = i;
    }
    if (oldest != no_slot) {
      tx.set(slots[oldest].state, transaction::get(slots[oldest].state) | notified);
    }
    return oldest;
  }

  void wake(std::size_t i) const {
    if (i != no_slot) os::futex_wake(slots[i].state, 1);
  }

  // Frees the slot if it is still that of the dead waiter, and passes its notification on.
  void reap_dead_waiter(std::size_t i, os::owner_id dead) const {
    std::size_t successor = no_slot;
    {
      transaction tx(memory);
      if (transaction::get(slots[i].owner) != dead) return;
      tx.set(slots[i].owner, os::no_owner);
      if ((transaction::get(slots[i].state) & notified) != 0) {
        successor = notify_oldest(tx, transaction::get(words.next_ticket));
      }
    }
    wake(successor);
  }

  void check_liveness() const {
    if (!memory.as<sync::guarded_header>().is_time_to_check_liveness()) return;
    for (std::size_t i = 0, n = used(); i < n; ++i) {
      // relaxed: checked again in the transaction
      const os::owner_id owner = slots[i].owner.load(std::memory_order_relaxed);
      if (owner != os::no_owner && owner != os::this_thread_owner() && os::has_ended(owner)) {
        reap_dead_waiter(i, owner);
      }
    }
  }
};

}  // namespace

condition_variable::condition_variable() : sync_handle(kind, object_bytes) {}

void condition_variable::notify(std::size_t n) const {
  const condition_view v(memory());
  u64 end = 0;
  {
    const transaction tx(v.memory);
    end = transaction::get(v.words.next_ticket);
  }
  for (; n != 0; --n) {
    std::size_t i = no_slot;
    {
      transaction tx(v.memory);
      i = v.notify_oldest(tx, end);
    }
    if (i == no_slot) return;
    v.wake(i);
  }
}

condition_variable::waiter::waiter(const condition_variable& of)
    : of_(of), slot_(condition_view(of.memory()).acquire_slot()) {}

condition_variable::waiter::~waiter() { leave(); }

void condition_variable::waiter::sleep(const duration* limit) {
  const condition_view v(of_.memory());
  sync::wait_backoff backoff(sync::end_of(limit));
  if (slot_ == no_slot) {
    std::atomic<u32> nothing{0};
    os::futex_wait(nothing, 0, backoff.next_sleep());
    v.check_liveness();
    expired_ = backoff.expired();
    return;
  }
  std::atomic<u64>& state = v.slots[slot_].state;
  for (;;) {
    // relaxed: the mutex orders the data that the condition is about
    const u64 now = state.load(std::memory_order_relaxed);
    if ((now & notified) != 0) return;
    if (backoff.expired()) return;
    os::futex_wait(state, static_cast<u32>(now), backoff.next_sleep());
    if (backoff.slice_ended()) v.check_liveness();
  }
}

bool condition_variable::waiter::leave() {
  const std::size_t i = std::exchange(slot_, no_slot);
  if (i == no_slot) return !expired_;  // a spurious wake-up, unless the time is over
  const condition_view v(of_.memory());
  transaction tx(v.memory);
  tx.set(v.slots[i].owner, os::no_owner);
  return (transaction::get(v.slots[i].state) & notified) != 0;
}

void condition_variable::check(const mutex& m) {
  if (m.is_mine()) return;
  throw_not_locked();
}

void condition_variable::check(const recursive_mutex& m) {
  if (m.depth() == 1) return;
  if (m.depth() == 0) throw_not_locked();
  throw invalid_state_error(
      "wait() with a recursive_mutex that is locked more than once: it would stay locked, and "
      "no thread could notify");
}

void condition_variable::throw_not_locked() {
  throw invalid_state_error(
      "wait() of a condition variable by a thread that does not have the mutex: lock it first");
}

}  // namespace procpool
