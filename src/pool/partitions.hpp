// The partitions of the region's arena: each worker has one for its life, to which it writes large
// results. A partition is free again when its worker is dead and no result in it can still be
// read. Used under the pool's mutex, except is_of().
//
//   free -> taken             take(): a worker is about to start
//   taken -> retired          retire(): that worker is dead, or was not started
//   retired -> free           take(), once no result in the partition can still be read
#pragma once

#include <atomic>
#include <cstddef>
#include <vector>

#include "pool/record_table.hpp"
#include "shm/region.hpp"

namespace procpool::testing {
class pool_test_access;
}

namespace procpool::parent {

class partitions {
 public:
  partitions(const shm::region& region, const record_table& table)
      : region_(region), table_(table), uses_(region.partitions()) {}

  // For the next worker of that seat. 0: none is free.
  shm::u64 take(shm::u32 seat) noexcept;
  void retire(shm::u64 p) noexcept;
  bool any_retired() const noexcept { return retired_ != 0; }
  // Whether the worker of that seat may have written to the partition; false for a number that no
  // partition has. Any thread, without the mutex.
  bool is_of(shm::u64 p, shm::u32 seat) const noexcept {
    // acquire: the seat, as stored before the worker was started
    return p != 0 && p < uses_.size() && uses_[p].seat.load(std::memory_order_acquire) == seat;
  }
  // Calls `visit` with the record of each result in a retired partition.
  template <class Visit>
  void for_each_retired_result(Visit visit) {
    for_each_result([&](task_record& r, shm::u64 p) {
      if (uses_[p].retired) visit(r);
    });
  }

 private:
  friend class procpool::testing::pool_test_access;

  struct use {
    std::atomic<shm::u32> seat{0};
    bool taken = false;  // by a live worker, or by unread results of a dead one
    bool retired = false;
    bool read = false;  // used by reclaim()
  };

  shm::u64 find(shm::u32 seat) noexcept;
  void reclaim() noexcept;
  shm::u64 outcome_block(const task_record& r) const noexcept;
  // Calls `visit` with the record and the partition of each result that may still be read.
  template <class Visit>
  void for_each_result(Visit visit) const {
    for (shm::u32 i = 0; i < region_.allocated_slots(); ++i) {
      task_record& r = *table_.at(i);
      shm::u64 word = 0;
      // acquire: the reader's last read happens before the memory is reused
      if (r.references.load(std::memory_order_acquire) == 0 || !r.load(word)) continue;
      if (shm::phase_of(word) != shm::task_phase::done) continue;
      const shm::u64 block = outcome_block(r);
      if (block < region_.arena_offset()) continue;
      const shm::u64 p = region_.partition_of(block);
      if (p < uses_.size()) visit(r, p);
    }
  }

  const shm::region& region_;
  const record_table& table_;
  std::vector<use> uses_;  // by number; 0 is the parent's, which no worker has
  std::size_t retired_ = 0;
};

}  // namespace procpool::parent
