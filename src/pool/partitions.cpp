// The partitions of the region's arena: each worker has one for its life, to which it writes large
// results. A partition is reused when its worker is dead and no result in it can still be read.
// Under the pool's mutex.
#include <new>

#include "pool/pool.hpp"

namespace procpool::parent {

using shm::task_phase;
using shm::u32;
using shm::u64;

u64 pool::take_partition(u32 seat_index) noexcept {
  reclaim_partitions();
  u64 p = find_partition(seat_index);
  if (p == 0 && retired_ != 0) {
    // Outcomes stay there if a sweep had no memory to copy them: a new worker is worth more than
    // they are.
    clear_partitions();
    reclaim_partitions();
    p = find_partition(seat_index);
  }
  return p;
}

u64 pool::find_partition(u32 seat_index) noexcept {
  for (u64 p = 1; p < partitions_.size(); ++p) {
    partition_use& use = partitions_[p];
    if (use.taken) continue;
    use.taken = true;
    // release: for result_bytes(), before a worker can write there
    use.seat.store(seat_index, std::memory_order_release);
    return p;
  }
  return 0;
}

void pool::retire_partition(u64 p) noexcept {
  if (p == 0 || partitions_[p].retired) return;
  partitions_[p].retired = true;
  ++retired_;
}

u64 pool::outcome_block(const task_record& r) const noexcept {
  const shm::slot& s = region_.at(r.index);
  return r.items != 0 ? reinterpret_cast<const shm::chunk_progress*>(s.bytes)->outcomes.load()
                      : s.block.load();
}

// A dead worker's partition can be reused once it holds no result that may still be read.
void pool::reclaim_partitions() noexcept {
  if (retired_ == 0) return;
  for (partition_use& use : partitions_) use.read = false;
  for (u32 i = 0; i < region_.allocated_slots(); ++i) {
    const task_record& r = *record_at(i);
    u64 word = 0;
    // acquire: the reader's last read happens before the memory is reused
    if (r.references.load(std::memory_order_acquire) == 0 || !r.load(word)) continue;
    if (shm::phase_of(word) != task_phase::done) continue;
    const u64 block = outcome_block(r);
    if (block < region_.arena_offset()) continue;
    const u64 p = region_.partition_of(block);
    if (p < partitions_.size()) partitions_[p].read = true;
  }
  for (u64 p = 1; p < partitions_.size(); ++p) {
    partition_use& use = partitions_[p];
    if (!use.taken || !use.retired || use.read) continue;
    use.taken = use.retired = false;
    --retired_;
  }
}

void pool::clear_partitions() noexcept {
  slots_.allow_saving();
  for (u32 i = 0; i < region_.allocated_slots(); ++i) {
    task_record& r = *record_at(i);
    u64 word = 0;
    if (r.references.load() == 0 || !r.load(word)) continue;
    if (shm::phase_of(word) != task_phase::done) continue;
    const u64 block = outcome_block(r);
    if (block < region_.arena_offset()) continue;
    const u64 p = region_.partition_of(block);
    if (p >= partitions_.size() || !partitions_[p].retired) continue;
    try {
      slots_.harvest_one(r, slot_store::without_memory::give_up);
    } catch (const std::bad_alloc&) {
      lose(r, out_of_memory_);  // no memory for the next record of the slot: it gets none
    }
  }
}

}  // namespace procpool::parent
