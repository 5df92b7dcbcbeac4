// The records of a pool and the slots of its region: who has which, what is free, and where the
// next one comes from. Under the pool's mutex, all of it.
//
//   free      a record with its slot: the next task takes both
//   slotless  a record that has given its slot away
//   in use    a task, or a future that has not been released
//
// Where nothing is free, the store collects what came back, then grows, then harvests: it copies
// finished outcomes to private memory and gives their slots to other records.
#pragma once

#include <cstddef>
#include <memory>
#include <vector>

#include "pool/record_table.hpp"
#include "shm/region.hpp"

namespace procpool::parent {

// What a store works on.
struct slot_parts {
  shm::region& region;
  shm::arena_view& view;
  shm::block_allocator& blocks;  // of the arguments
  record_table& table;
  returned_list& returned;
  const std::exception_ptr& out_of_memory;
};

class slot_store {
 public:
  slot_store(pool& owner, const slot_parts& parts);

  // A record with a slot. Null: none is free.
  task_record* pop_free() noexcept {
    task_record* r = free_;
    if (r != nullptr) [[likely]]
      free_ = r->next;
    return r;
  }
  void push_free(task_record& r) noexcept { r.next = std::exchange(free_, &r); }
  // The same, after a look at what came back.
  task_record* pop_returned();
  // The records that came back, and the blocks of their arguments. How many.
  std::size_t collect_returned() noexcept;
  // More slots; false if there are as many as there may be. Throws without memory.
  bool grow();

  // All slots are taken: finished outcomes move to private memory. Throws if there is no memory for
  // any of them.
  void harvest();
  enum class without_memory { leave, give_up };
  // True if the outcome is in private memory now, and the slot is free. Without memory: throws
  // std::bad_alloc or std::system_error, and the outcome stays where it is; or it is given up, if
  // there is memory for the next record of the slot.
  bool harvest_one(task_record& r, without_memory what);
  // One sweep, or one harvest, begins: it may copy as many bytes as the region has.
  void allow_saving() { may_save_ = view_.most_bytes(); }
  // Throws codec_error past that: a task has written lengths where it must not.
  void charge_saving(shm::u64 bytes);

  // The slot is not used any more, since a worker that the parent does not know may write there.
  void abandon_slot(task_record& r) noexcept;
  std::size_t lost_slots() const noexcept { return lost_slots_; }

  std::size_t records_in_use() noexcept;
  // The executor is gone: no record comes back any more. How many are in use.
  std::size_t close() noexcept;

 private:
  void grow_if_possible() noexcept;
  void make_record();
  void give_slot_away(task_record& r) noexcept;

  pool& pool_;
  shm::region& region_;
  shm::arena_view& view_;
  shm::block_allocator& blocks_;
  record_table& table_;
  returned_list& returned_;
  const std::exception_ptr& out_of_memory_;

  task_record* free_ = nullptr;
  task_record* slotless_ = nullptr;
  std::vector<std::unique_ptr<task_record>> records_;
  std::size_t scarce_ = 0;  // how often few records had come back when one was needed
  shm::u64 may_save_ = 0;
  task_record lost_slot_;  // stands for abandoned slots
  std::size_t lost_slots_ = 0;
};

}  // namespace procpool::parent
