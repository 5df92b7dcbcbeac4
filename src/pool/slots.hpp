// The records of a pool and the slots of its region: which record has which slot, which are free,
// and how the store grows. All of it under the pool's mutex.
//
//   free      a record with its slot: the next task takes both
//   slotless  a record that has given its slot away
//   in use    the record of a task whose future has not been released
//
// If no record is free, the store collects returned records, then grows, then harvests: it copies
// finished outcomes to private memory and gives their slots to other records.
#pragma once

#include <cstddef>
#include <memory>
#include <vector>

#include "pool/record_table.hpp"
#include "shm/region.hpp"

namespace procpool::parent {

// The parts of the pool that a store uses.
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

  // A record with a slot; null if none is free.
  task_record* pop_free() noexcept {
    task_record* r = free_;
    if (r != nullptr) [[likely]]
      free_ = r->next;
    return r;
  }
  void push_free(task_record& r) noexcept { r.next = std::exchange(free_, &r); }
  // The same, after collecting returned records.
  task_record* pop_returned();
  // Collects returned records and the blocks of their arguments. Returns their number.
  std::size_t collect_returned() noexcept;
  // Adds slots; false if the region has the most possible. Throws if there is no memory.
  bool grow();

  // When all slots are taken: moves finished outcomes to private memory. Throws if there is no
  // memory for any of them.
  void harvest();
  enum class without_memory { leave, give_up };
  // True if the outcome is in private memory now, and the slot is free. If memory runs out: `leave`
  // throws std::bad_alloc or std::system_error, and the outcome stays in place; `give_up` gives the
  // outcome up, if there is memory for the next record of the slot.
  bool harvest_one(task_record& r, without_memory what);
  // At the beginning of a sweep or harvest, which may copy as many bytes as the region has.
  void allow_saving() { may_save_ = view_.most_bytes(); }
  // Throws codec_error above that limit: a task has damaged the lengths.
  void charge_saving(shm::u64 bytes);

  // Takes the slot out of use: a worker unknown to the parent may write there.
  void abandon_slot(task_record& r) noexcept;
  std::size_t lost_slots() const noexcept { return lost_slots_; }

  std::size_t records_in_use() noexcept;
  // When the executor is destroyed: no record is returned any more. Returns the number in use.
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
  std::size_t scarce_ = 0;  // how often few records had been returned when one was needed
  shm::u64 may_save_ = 0;
  task_record lost_slot_;  // placeholder for abandoned slots
  std::size_t lost_slots_ = 0;
};

}  // namespace procpool::parent
