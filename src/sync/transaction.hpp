// Transactions on shared memory: several words change as a whole or not at all, even if the process
// that changes them is killed in between. Semaphores, condition variables, barriers and queues are
// made of them, so that none of these needs a repair of its own.
//
//   +----------------+------------------------------------+----------+
//   | guarded_header | the primitive's words and its bytes | undo log |
//   +----------------+------------------------------------+----------+
//
//   1. begin:   acquire the robust_lock of the header; roll back what a dead owner has left
//   2. change:  for each word: undo_log[undo_count] = {where, old value}; ++undo_count; new value
//   3. commit:  undo_count = 0
//   4. end:     release the lock
//
//   A process that dies        | leaves                    | and the next owner of the lock
//   ---------------------------+---------------------------+-------------------------------------
//   before 1, after 4          | nothing                   |
//   between 1 and 3            | undo_count > 0, or nothing| puts the old values back, last first
//                              | changed                   |
//   between 3 and 4            | a committed transaction   | takes the lock over, nothing else
//   while it rolls back        | a shorter undo log        | continues the roll-back
//
// Within the dying process all stores happen in the order of the program (release), so another
// process sees a prefix of them. Bytes that no word refers to yet, as those of an item that is
// being put into a queue, need no record.
#pragma once

#include <atomic>
#include <cstddef>
#include <type_traits>
#include <utility>

#include "sync/robust_lock.hpp"

namespace procpool::sync {

struct undo_record {
  std::atomic<u64> offset;  // of the word, in bytes from the begin of the object
  std::atomic<u64> old_value;
};
static_assert(sizeof(undo_record) == 16 && std::is_standard_layout_v<undo_record>);

// The begin of each object that is changed by transactions.
struct guarded_header {
  std::atomic<u64> kind;                 // what this object is: detail::sync_kind
  std::atomic<u64> undo_count;           // records of the undo log that are in use
  std::atomic<u64> liveness_checked_ns;  // when a process last began to look for dead ones
  robust_lock lock;

  // True for one waiter every longest_slice: the check takes longer the more processes are
  // registered, so the waiters share it.
  bool is_time_to_check_liveness() noexcept;
};
static_assert(sizeof(guarded_header) == 40 && std::is_standard_layout_v<guarded_header>);

// One object, as this process has it mapped. The sizes come from this process's own knowledge,
// never from the shared memory.
struct guarded_memory {
  std::byte* data;
  std::size_t bytes;
  std::size_t undo_capacity;  // records of the undo log, which is the end of the object

  template <class T>
  T& as() const noexcept {
    return *reinterpret_cast<T*>(data);
  }
  undo_record* undo_log() const noexcept {
    return reinterpret_cast<undo_record*>(data + bytes) - undo_capacity;
  }
};

class transaction {
 public:
  explicit transaction(const guarded_memory& memory) noexcept;
  // Commits. (An exception that passes commits as well: callers throw before they change words.)
  ~transaction();
  transaction(const transaction&) = delete;
  transaction& operator=(const transaction&) = delete;

  // Changes a word of the object; at most undo_capacity changes in one transaction.
  void set(std::atomic<u64>& word, u64 value) noexcept;
  void add(std::atomic<u64>& word, u64 n) noexcept { set(word, get(word) + n); }
  static u64 get(const std::atomic<u64>& word) noexcept {
    return word.load(std::memory_order_relaxed);  // under the lock
  }

 private:
  void roll_back() noexcept;

  guarded_memory memory_;
};

// Runs attempt(transaction) until it returns true (then true), or the deadline has passed (then
// false). Between two attempts it sleeps on `changed`, which every process notifies that makes an
// attempt succeed. check_liveness() looks for dead processes if it is time for that, and returns
// whether it has changed the object because of one; it runs after each slice, and once more when
// the time is over.
template <class Attempt, class CheckLiveness>
bool await(const guarded_memory& memory, event_count& changed, deadline end, Attempt attempt,
           CheckLiveness check_liveness) {
  wait_backoff backoff(end);
  for (bool last = false;;) {
    u32 seen = 0;
    {
      transaction tx(memory);
      if (attempt(tx)) return true;
      seen = changed.current();
    }
    if (backoff.expired()) {
      if (std::exchange(last, true) || !check_liveness()) return false;
    } else {
      changed.wait(seen, backoff.next_sleep());
      if (backoff.slice_ended()) check_liveness();
    }
  }
}

// How much of something one process holds: permits of a semaphore, unfinished items of a queue.
struct holding {
  std::atomic<u64> owner;  // the process; no_owner: free
  std::atomic<u64> count;
};
static_assert(sizeof(holding) == 16 && std::is_standard_layout_v<holding>);

// The table of the holdings of all processes, in shared memory. A hash table with the identity of
// the process as its key; all accesses are in a transaction.
struct holdings {
  holding* first;
  std::size_t size;

  holding* begin() const noexcept { return first; }
  holding* end() const noexcept { return first + size; }
  // Null if this process has no holding.
  holding* find(os::owner_id owner) const noexcept;
  // Makes a holding if there is none, in a free entry or in one whose count is 0; null if the table
  // is full.
  holding* find_or_add(transaction& tx, os::owner_id owner) const noexcept;

  // Removes the holdings of dead processes, and calls put_back(transaction, count) for each of
  // them, in the same transaction. Returns whether there was any; false if it is not time to look.
  template <class PutBack>
  bool reap_dead(const guarded_memory& memory, PutBack put_back) const {
    bool any = false;
    if (!memory.as<guarded_header>().is_time_to_check_liveness()) return any;
    for (holding& h : *this) {
      // relaxed: checked again in the transaction
      const os::owner_id owner = h.owner.load(std::memory_order_relaxed);
      if (owner == os::no_owner || owner == os::this_process_owner() || !os::has_ended(owner)) {
        continue;
      }
      transaction tx(memory);
      if (transaction::get(h.owner) != owner) continue;
      put_back(tx, transaction::get(h.count));
      tx.set(h.owner, os::no_owner);
      tx.set(h.count, 0);
      any = true;
    }
    return any;
  }
};

}  // namespace procpool::sync
