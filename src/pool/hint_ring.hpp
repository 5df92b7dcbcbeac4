// The parent's end of the ring of hints: which slots may have a READY task. A hint has no
// authority: the state word decides. Workers take hints (shm/dispatch.cpp), and only the parent
// puts them. All of it under the pool's mutex.
#pragma once

#include "pool/record_table.hpp"
#include "shm/dispatch.hpp"
#include "shm/region.hpp"

namespace procpool::parent {

class hint_ring {
 public:
  hint_ring(const shm::region& region, shm::roster& roster, const record_table& table)
      : region_(region), roster_(roster), table_(table) {}

  // Puts a hint for the task, which is READY. A second hint for the same task is harmless.
  void put(task_record& r) noexcept;
  // Repairs the ends of the ring and the workers' roles, which a task may have overwritten. If the
  // head was damaged, READY tasks get new hints.
  void repair() noexcept;

 private:
  void compact() noexcept;

  const shm::region& region_;
  shm::roster& roster_;
  const record_table& table_;
  shm::u64 tail_ = 0;
  shm::u64 head_ = 0;  // as last read, when the ring seemed full
};

// Whether the READY in a state word is possible, given the other fields of the slot.
bool can_be_ready(const shm::slot& s, shm::u64 word) noexcept;

}  // namespace procpool::parent
