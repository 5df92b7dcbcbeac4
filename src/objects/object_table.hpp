// Shared objects: memory that handles refer to (shared_array, shared_value), in the file of the
// process page, so that all workers of all pools of a parent reach it.
//
//   +--------------+---------+-----------+----------------------+---------------------------+
//   | process page | entries | row heads | rows of counts       | ranges: one for each id   |
//   +--------------+---------+-----------+----------------------+---------------------------+
//
// An id has an entry (its word and its size) and a range of the file at a fixed place, of fixed,
// huge length, of which only what an object needs is allocated. So nothing about an object has to
// be told to anybody but its id and generation, and whoever has a range mapped may keep the mapping
// for the next object with that id.
//
//   word   63                    32            20        4   0
//          +----------------------+-------------+--------+---+    state: FREE 0, USED 1, FREEING 2
//          |      generation      |      0      |  row   | s |    row: who made it; 0 is the parent
//          +----------------------+-------------+--------+---+
//
// Who keeps an object. The parent counts its own references in private memory: its handles, and
// those that unread outcomes and unfinished tasks hold. Each life of a worker has a row, and in it
// a count for each id:
//
//   1. a worker adds 1 when it gets its first handle of an object (with an argument, whose task's
//      record in the parent holds a reference meanwhile, or by making the object)
//   2. it adds 1 for each handle that it writes into an outcome
//   3. it takes 1 off when its last handle goes
//   4. the parent, when it takes an outcome over, first adds a reference of its own for each handle
//      in it, then takes 1 off the worker's row
//
// Only the parent frees what it knows of: when it has no reference and every row says 0. Without a
// reference of the parent's no row can go from 0 to 1 (handles reach a worker under one), so the
// observation is stable, whatever the workers do meanwhile. A worker frees what it has made and
// never written into an outcome.
//
// But for handles that go through a manager (see manager/protocol.hpp), from one worker to
// another: the receiver adds 1 to its row, then 1 to `transfers`, and only then the sender takes 1
// off. So who looks at all rows, and finds `transfers` as it was before, has not looked past a
// handle on its way. What a worker has made and the parent never heard of does not go that way.
//
// Dead workers: after proof, the parent takes over the outcomes that it left, then clears its row
// as a whole and frees what it had made and not handed over. Killed between any two steps above, a
// worker leaves nothing else behind:
//
//   making     count, then the word by one CAS: a count for an id that it does not get goes with
//   the row freeing    USED -> FREEING by CAS, pages, count, FREE: who made it is in the word, so
//   that the
//              sweep ends it
//
// What lies behind the page is allocated before it is touched, step by step: `allocated` says how
// many entries are there, a row's head which pages of its counts are.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "os/mapping.hpp"
#include "procpool/detail/shared/shared_object.hpp"
#include "shm/blocks.hpp"
#include "shm/object_plan.hpp"
#include "shm/process_page.hpp"

namespace procpool::shm {

enum class object_state : std::uint32_t { free = 0, used = 1, freeing = 2 };

constexpr u64 make_object_word(u32 generation, object_state s, u32 row) {
  return u64{generation} << 32U | u64{row} << 4U | static_cast<u32>(s);
}
constexpr object_state object_state_of(u64 word) { return static_cast<object_state>(word & 15U); }
constexpr u32 object_row_of(u64 word) { return static_cast<u32>(word >> 4U) & 0xffffU; }
constexpr u32 object_generation_of(u64 word) { return static_cast<u32>(word >> 32U); }

// One process's access to it all. Its functions may be called by any thread; rows and ranges that
// are mapped belong to the caller.
class object_table {
 public:
  object_table(int fd, process_page& page);

  u32 ids() const noexcept { return plan_.ids; }
  u32 rows() const noexcept { return plan_.rows; }
  u64 stride() const noexcept { return plan_.stride; }
  u32 pages_of_row() const noexcept;
  u32 page_of_count(u32 id) const noexcept;

  // Entries that may be looked at: ids below this. Never more than ids().
  u32 allocated() const noexcept;
  object_entry& entry(u32 id) const noexcept { return entries_[id]; }

  // Whether that very object has not been freed.
  bool is_used(const detail::object_ref& ref) const noexcept;

  // FREE -> USED for the first id that `may_take(id)` accepts; 0 if there is none. When the CAS
  // after it fails, `lost(id)` follows. Throws std::system_error without memory for more entries.
  template <class MayTake, class Lost>
  u32 claim(u32 row, MayTake may_take, Lost lost) {
    // relaxed: a hint. What other processes have freed lies below it, and is found before the table
    // grows, so each entry that it has more of is looked at once for each growth.
    const u32 known = allocated(), first = lowest_free_.load(std::memory_order_relaxed);
    if (const u32 id = claim_in(first, known, row, may_take, lost); id != 0) return id;
    if (const u32 id = claim_in(1, std::min(first, known), row, may_take, lost); id != 0) return id;
    for (u32 id = std::max(known, 1U); id < ids(); ++id) {
      if (id >= allocated()) extend(id + 1);
      if (claim_in(id, id + 1, row, may_take, lost) != 0) return id;
    }
    return 0;
  }
  // FREEING -> FREE, by whoever changed it to FREEING, once the pages are gone.
  void free(u32 id, u32 generation) noexcept;

  // The object's memory for real, all zero. Throws std::system_error with advice.
  void allocate(u32 id, u64 bytes) const;
  // All memory of the id's range goes back. False if somebody has closed the file.
  bool punch(u32 id) const noexcept;
  // Empty with errno set when nothing can be mapped any more (ulimit -v).
  os::mapping map(u32 id, u64 bytes, os::access mode) const noexcept;
  // What all objects together can have: no one of them has more.
  u64 most_bytes() const noexcept;
  void check_size(u64 bytes) const;  // throws std::system_error: larger than any object may be

  // In the parent, before the row is given to a worker.
  void allocate_heads() const;
  std::atomic<u32>& pages(u32 row) const noexcept { return heads_[row].pages; }
  // The row's counts, of which only allocated pages may be touched.
  os::mapping map_row(u32 row) const noexcept;
  int allocate_row_page(u32 row, u32 page) const noexcept;  // 0 or an errno value
  void clear_row(u32 row) const noexcept;

  std::atomic<u32>& transfers() const noexcept { return page_->objects.transfers; }

 private:
  template <class MayTake, class Lost>
  u32 claim_in(u32 from, u32 to, u32 row, MayTake& may_take, Lost& lost) {
    for (u32 id = from; id < to; ++id) {
      // relaxed: only a hint, the CAS decides
      u64 word = entry(id).word.load(std::memory_order_relaxed);
      if (object_state_of(word) != object_state::free || !may_take(id)) continue;
      const u64 mine = make_object_word(object_generation_of(word) + 1, object_state::used, row);
      // acquire: what the last owner did to the range; release: the count that may_take has made
      if (entry(id).word.compare_exchange_strong(word, mine, std::memory_order_acq_rel)) {
        lowest_free_.store(id + 1, std::memory_order_relaxed);  // a hint
        return id;
      }
      lost(id);
    }
    return 0;
  }
  void extend(u32 count) const;

  checked_file file_;
  object_plan plan_;
  process_page* page_;
  object_entry* entries_;
  row_head* heads_;
  std::atomic<u32> lowest_free_{1};  // as far as this process knows
};

// Who answers for some of this process's uses: the parent for the objects of its table, a worker
// for those that it was given, and so on. Any thread.
class object_home {
 public:
  // A handle that may be the last goes. The one that really is ends the use. Counts reach 0 only
  // here, under the home's own lock, so that who looks for the use may find it meanwhile.
  virtual void drop(detail::object_use& use) noexcept = 0;

 protected:
  ~object_home() = default;
};

// One that makes them, each counted once for the caller. Throw as shared_object does.
class object_source : public object_home {
 public:
  virtual detail::object_use* create(u64 bytes) = 0;
  virtual detail::object_use* attach(const detail::object_ref& ref,
                                     detail::object_access access) = 0;
  // For a handle that comes from another worker or the parent, who holds the object meanwhile.
  virtual detail::object_use* adopt(const detail::object_ref& ref) = 0;
  // Whether such a handle may be sent. Throws codec_error.
  virtual void check_lend(const detail::object_use& use) = 0;
  // Whether that object has not been freed: what names it may be forgotten then. Takes no lock.
  virtual bool is_used(const detail::object_ref& ref) const noexcept = 0;

 protected:
  ~object_source() = default;
};

// Set once in a worker, null elsewhere.
object_source* worker_source() noexcept;
void set_worker_source(object_source& source) noexcept;

[[noreturn]] void throw_no_objects_left(u32 ids);
[[noreturn]] void throw_unknown_object();
[[noreturn]] void throw_cannot_map(int error, u64 bytes);

}  // namespace procpool::shm
