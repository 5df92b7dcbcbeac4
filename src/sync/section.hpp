// What the larger primitives (semaphore, condition variable, barrier, queue) are made of: words of
// shared memory that are changed under one robust_lock, so that a death changes all of them or
// none.
//
//   +---------+------------------------------------+-----------------------+
//   | monitor | the primitive's words and its bytes | journal               |
//   +---------+------------------------------------+-----------------------+
//
// A section is one such change:
//
//   1. it takes the lock
//   2. for each word: journal[written] = {where, what was there}; ++written; the new value
//   3. written = 0: this instant it has happened
//   4. it leaves the lock
//
// Killed before 3, the next section, which takes the lock over, puts back what the journal says,
// the last first, and it is as if nothing had been. If that one dies as well, the next goes on.
// All stores are in the program's order (release), as a death sees them.
//
// Bytes that no word refers to yet (an item that is being put) need no journal.
#pragma once

#include <atomic>
#include <cstddef>
#include <type_traits>
#include <utility>

#include "sync/robust_lock.hpp"

namespace procpool::sync {

struct journal_record {
  std::atomic<u64> where;  // from the begin of the object, in bytes
  std::atomic<u64> before;
};
static_assert(sizeof(journal_record) == 16 && std::is_standard_layout_v<journal_record>);

struct monitor {
  std::atomic<u64> kind;  // what this object is
  std::atomic<u64> written;
  std::atomic<u64> patrolled;  // when somebody last began to look for the dead, in nanoseconds
  robust_lock lock;

  // For one of those that wait, ten times a second: it takes longer the more there are.
  bool is_time_to_patrol() noexcept;
};
static_assert(sizeof(monitor) == 40 && std::is_standard_layout_v<monitor>);

// One object, as this process has it mapped. The sizes are this process's own knowledge.
struct guarded_memory {
  std::byte* data;
  std::size_t bytes;
  std::size_t records;  // of the journal

  template <class T>
  T& as() const noexcept {
    return *reinterpret_cast<T*>(data);
  }
  journal_record* journal() const noexcept {
    return reinterpret_cast<journal_record*>(data + bytes) - records;
  }
};

class section {
 public:
  explicit section(const guarded_memory& memory) noexcept;
  ~section();
  section(const section&) = delete;
  section& operator=(const section&) = delete;

  // Changes a word of the object; at most as many in a section as the journal has records.
  void set(std::atomic<u64>& word, u64 value) noexcept;
  void add(std::atomic<u64>& word, u64 n) noexcept { set(word, get(word) + n); }
  static u64 get(const std::atomic<u64>& word) noexcept {
    return word.load(std::memory_order_relaxed);  // under the lock
  }

 private:
  void roll_back() noexcept;

  guarded_memory memory_;
};

// Runs attempt(section) until it returns true, or the deadline has passed (then false). Sleeps on
// `c` in between, which must be signalled by whoever makes a difference. patrol() looks for the
// dead, if it is time for that, and says whether that made one; it runs after each slice, and once
// at the end.
template <class Attempt, class Patrol>
bool await(const guarded_memory& memory, channel& c, deadline end, Attempt attempt, Patrol patrol) {
  slices pause(end);
  for (bool last = false;;) {
    u32 seen = 0;
    {
      section s(memory);
      if (attempt(s)) return true;
      seen = c.now();
    }
    if (pause.over()) {
      if (std::exchange(last, true) || !patrol()) return false;
    } else {
      c.sleep(seen, pause.next());
      if (pause.due()) patrol();
    }
  }
}

// How much of something a process has. In shared memory, many in a row.
struct tally {
  std::atomic<u64> owner;  // no_owner: free
  std::atomic<u64> count;
};
static_assert(sizeof(tally) == 16 && std::is_standard_layout_v<tally>);

// The row of them, all accesses in a section.
struct tallies {
  tally* first;
  std::size_t size;

  tally* begin() const noexcept { return first; }
  tally* end() const noexcept { return first + size; }
  // Null if there is none.
  tally* of(os::owner_id owner) const noexcept;
  // Also one that is free, or whose process has nothing, which is l's then; null if there is none.
  tally* of_or_new(section& s, os::owner_id owner) const noexcept;

  // Takes away what dead processes have, and tells give_back(section, count) of it, each in the
  // same section. Says whether there was any; false if it is not time to look.
  template <class GiveBack>
  bool bury_the_dead(const guarded_memory& memory, GiveBack give_back) const {
    bool any = false;
    if (!memory.as<monitor>().is_time_to_patrol()) return any;
    for (tally& t : *this) {
      // relaxed: looked at again in the section
      const os::owner_id owner = t.owner.load(std::memory_order_relaxed);
      if (owner == os::no_owner || owner == os::this_process_owner() || !os::has_ended(owner))
        continue;
      section s(memory);
      if (section::get(t.owner) != owner) continue;
      give_back(s, section::get(t.count));
      s.set(t.owner, os::no_owner);
      s.set(t.count, 0);
      any = true;
    }
    return any;
  }
};

}  // namespace procpool::sync
