// pool_options::idle_timeout. The supervisor tells a worker to leave that has slept for so long;
// the worker ends when it finds no task. From then on until all workers are back, submission takes
// its slow path, which recalls one worker for each task that no sleeping worker is left for. So a
// task that the leaving worker has just not seen has recalled a worker.
#include "pool/pool.hpp"

namespace procpool::parent {

using shm::u32;
using shm::u64;

// relaxed: an estimate. The head is read first, so that it is never beyond the tail.
u64 pool::waiting_hints() const noexcept {
  const shm::control_block& c = region_.control();
  const u64 head = c.head.load(std::memory_order_relaxed);
  return c.tail.load(std::memory_order_relaxed) - head;
}

void pool::dismiss_idle() noexcept {
  if (!options_.idle_timeout || stopping_ || !broken_.empty()) return;
  if (waiting_hints() != 0) {
    // Perhaps of tasks that came by another way than submission, after a crash for example.
    recall_workers(false);
    return;
  }
  for (u32 i = 0; i < crew_.size(); ++i) {
    if (!crew_.dismiss_if_idle(i, roster_.is_asleep(i), *options_.idle_timeout)) continue;
    fast_path_ = false;
    roster_.wake(i);
  }
}

// Called before a task is added. Does not count workers that are about to wake.
void pool::recall_workers(bool all) noexcept {
  if (!crew_.any_away() || !may_start()) return;
  const u64 waiting = waiting_hints();
  u64 asleep = 0;
  for (u32 i = 0; i < crew_.size(); ++i) {
    if (roster_.is_asleep(i) && !crew_.is_away(i)) ++asleep;
  }
  if (!all && waiting < asleep) return;
  bool any = false;
  while (crew_.recall_one()) {
    any = true;
    if (!all) break;
  }
  if (any) wake_supervisor();
}

}  // namespace procpool::parent
