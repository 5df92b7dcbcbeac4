// Shared objects: memory that handles refer to (shared_array, shared_value), in the file of the
// process page, so that all workers of all pools of a parent reach it.
//
//   +--------------+---------+-----------+----------------------+---------------------------+
//   | process page | entries | row heads | rows of counts       | ranges: one for each id   |
//   +--------------+---------+-----------+----------------------+---------------------------+
//
// An id has an entry (its word and its size) and a range of the file at a fixed place. The range
// has a fixed, huge length, of which only what an object needs is allocated. So processes tell each
// other nothing about an object but its id and generation, and a process that has a range mapped
// may keep the mapping for the next object with that id.
//
//   word   63                    32            20        4   0
//          +----------------------+-------------+--------+---+    state: FREE 0, USED 1, FREEING 2
//          |      generation      |      0      |  row   | s |    row of the maker; 0: the parent
//          +----------------------+-------------+--------+---+
//
// What keeps an object. The parent counts its own references in private memory: its handles, and
// the references of unread outcomes and unfinished tasks. Each life of a worker has a row, and in
// it a count for each id:
//
//   1. a worker adds 1 when it gets its first handle of an object (with an argument, whose task's
//      record in the parent holds a reference meanwhile, or by making the object)
//   2. it adds 1 for each handle that it writes into an outcome
//   3. it subtracts 1 when its last handle is destroyed
//   4. the parent, when it takes an outcome over, first adds a reference of its own for each handle
//      in it, then subtracts 1 from the worker's row
//
// Of the objects that the parent knows, only the parent frees any: when it has no reference and the
// count in every row is 0. While the parent has no reference, no count can go from 0 to 1 (a handle
// reaches a worker only while the parent has a reference), so the observation is stable, whatever
// the workers do meanwhile. A worker frees an object that it has made and never written into an
// outcome.
//
// Handles that go through a manager (see manager/protocol.hpp), from one worker to another, are the
// exception: the receiver adds 1 to its row, then 1 to `transfers`, and only then the sender
// subtracts 1 from its own row. So if the parent has looked at all rows and `transfers` is
// unchanged, it has not missed a handle in transit. An object that a worker has made and the parent
// does not know cannot be sent that way.
//
// Dead workers: after proof of death the parent takes over the outcomes that the worker left, then
// clears its row as a whole and frees the objects that it had made and not handed over. A worker
// killed between any two of the steps above leaves nothing else to clean up:
//
//   making     the count first, then the word by one CAS: the count for an id that it does not get
//              is cleared with its row
//   freeing    USED -> FREEING by CAS, then pages, count, FREE: the word has the maker's row, so
//              that the sweep completes the freeing
//
// The memory after the page is allocated step by step, before it is touched: `allocated` is the
// number of entries with memory, and a row's head has a bit for each allocated page of its counts.
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

// One process's access to the table. Any thread may call the functions; the caller owns the rows
// and ranges that they map.
class object_table {
 public:
  object_table(int fd, process_page& page);

  u32 ids() const noexcept { return plan_.ids; }
  u32 rows() const noexcept { return plan_.rows; }
  u64 stride() const noexcept { return plan_.stride; }
  u32 pages_of_row() const noexcept;
  u32 page_of_count(u32 id) const noexcept;

  // How many entries have memory: ids below this may be looked up. At most ids().
  u32 allocated() const noexcept;
  object_entry& entry(u32 id) const noexcept { return entries_[id]; }

  // Whether exactly this object, with this generation, has not been freed.
  bool is_used(const detail::object_ref& ref) const noexcept;

  // Changes the first free entry whose id `may_take(id)` accepts from FREE to USED; 0 if there is
  // none. Calls `lost(id)` when the CAS after `may_take` fails. Throws std::system_error if there
  // is no memory for more entries.
  template <class MayTake, class Lost>
  u32 claim(u32 row, MayTake may_take, Lost lost) {
    // relaxed: a hint. Entries below it that other processes have freed are found before the table
    // grows, so each further entry is looked at once for each growth.
    const u32 known = allocated(), first = lowest_free_.load(std::memory_order_relaxed);
    if (const u32 id = claim_in(first, known, row, may_take, lost); id != 0) return id;
    if (const u32 id = claim_in(1, std::min(first, known), row, may_take, lost); id != 0) return id;
    for (u32 id = std::max(known, 1U); id < ids(); ++id) {
      if (id >= allocated()) extend(id + 1);
      if (claim_in(id, id + 1, row, may_take, lost) != 0) return id;
    }
    return 0;
  }
  // FREEING -> FREE, by the process that changed it to FREEING, once the pages are gone.
  void free(u32 id, u32 generation) noexcept;

  // Allocates the object's memory, all zero. Throws std::system_error with advice.
  void allocate(u32 id, u64 bytes) const;
  // Returns all memory of the id's range. False if the program has closed the file.
  bool punch(u32 id) const noexcept;
  // Empty with errno set when nothing can be mapped (ulimit -v).
  os::mapping map(u32 id, u64 bytes, os::access mode) const noexcept;
  // The memory of all objects together, which no single object exceeds.
  u64 most_bytes() const noexcept;
  void check_size(u64 bytes) const;  // throws std::system_error if larger than any object may be

  // Called in the parent, before the row is given to a worker.
  void allocate_heads() const;
  std::atomic<u32>& pages(u32 row) const noexcept { return heads_[row].pages; }
  // The row's counts, of which only allocated pages may be accessed.
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

// Owns mappings of this process and ends them: the registry of a parent or of a worker, or the list
// of mapped files. Any thread may call it.
class mapping_owner {
 public:
  // Removes one handle; with the last one the mapping ends. Counts reach 0 only here, under the
  // owner's own lock, so that a concurrent search can still find the mapping.
  virtual void release(detail::object_mapping& mapping) noexcept = 0;

 protected:
  ~mapping_owner() = default;
};

// Makes mappings of objects, each with one handle for the caller. Throws as shared_object does.
// What the parent's registry and those of workers have in common.
class object_registry : public mapping_owner {
 public:
  virtual detail::object_mapping* create(u64 bytes) = 0;
  virtual detail::object_mapping* attach(const detail::object_ref& ref,
                                         detail::object_access access) = 0;
  // For a handle sent by another worker or by the parent, which holds the object meanwhile.
  virtual detail::object_mapping* adopt(const detail::object_ref& ref) = 0;
  // Checks that such a handle may be sent. Throws codec_error if not.
  virtual void check_sendable(const detail::object_mapping& mapping) = 0;
  // Whether that object has not been freed: data about a freed object may be dropped. Takes no
  // lock.
  bool is_used(const detail::object_ref& ref) const noexcept { return table_.is_used(ref); }

 protected:
  object_registry(int fd, process_page& page) : table_(fd, page) {}
  ~object_registry() = default;

  object_table table_;
};

[[noreturn]] void throw_no_objects_left(u32 ids);
[[noreturn]] void throw_unknown_object();
[[noreturn]] void throw_cannot_map(int error, u64 bytes);

}  // namespace procpool::shm
