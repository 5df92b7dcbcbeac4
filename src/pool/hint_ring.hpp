// The parent's end of the ring of hints: which slots have a task that is READY. A hint is only a
// hint: the state word decides. Workers take hints (shm/dispatch.cpp), and only the parent puts
// them. Under the pool's mutex, all of it.
#pragma once

#include "pool/record_table.hpp"
#include "shm/dispatch.hpp"
#include "shm/region.hpp"

namespace procpool::parent {

class hint_ring {
 public:
  hint_ring(const shm::region& region, shm::roster& roster, const record_table& table)
      : region_(region), roster_(roster), table_(table) {}

  // A hint for the task, which is READY. A second hint for the same task does no harm.
  void put(task_record& r) noexcept;
  // The ends of the ring and the workers' roles as the parent knows them: a task may have
  // overwritten them. What was waiting gets new hints then.
  void repair() noexcept;

 private:
  void compact() noexcept;

  const shm::region& region_;
  shm::roster& roster_;
  const record_table& table_;
  shm::u64 tail_ = 0;
  shm::u64 head_ = 0;  // as it was when the ring seemed full
};

// Whether a word that says READY can be true, by what else the slot says.
bool can_be_ready(const shm::slot& s, shm::u64 word) noexcept;

}  // namespace procpool::parent
