// What the pool does when a worker starts, dies, or has to be replaced. Called by the supervisor.
// `crew` decides; the worker gets a partition of the arena and a row for shared objects here, which
// are taken back when it is dead.
#include <csignal>
#include <exception>
#include <new>

#include "pool/pool.hpp"

namespace procpool::parent {

using shm::u32;
using shm::u64;

// After the last reported death of a lost server all seats are started again.
bool pool::may_start() const {
  return !drained_ && doomed_with_ == 0 && broken_.empty() && !server_->lost();
}

void pool::start_wanted() {
  for (u32 i = 0; may_start() && i < crew_.size(); ++i) {
    if (!crew_.is_due(i)) continue;
    try {
      start_seat(i);
    } catch (const std::exception&) {
      crew_.want_soon(i);  // without memory, later
    }
  }
  if (!may_start()) crew_.want_none();
}

// All calls that may throw precede the first change of the seat: without memory the start is
// retried.
void pool::start_seat(u32 index) {
  const u64 partition = take_partition(index);
  if (partition == 0) {
    // No partition is free, since results of dead workers are being read: retries soon.
    crew_.want_soon(index);
    return;
  }
  try {
    crew_.start(index, {partition, take_row(index)});
  } catch (...) {
    release_row(index);
    partitions_.retire(partition);
    throw;
  }
}

u64 pool::take_partition(u32 seat_index) noexcept {
  const u64 p = partitions_.take(seat_index);
  if (p != 0 || !partitions_.any_retired()) return p;
  // Outcomes stay there if a sweep had no memory to copy them: a new worker is worth more than they
  // are.
  clear_partitions();
  return partitions_.take(seat_index);
}

void pool::clear_partitions() noexcept {
  slots_.allow_saving();
  partitions_.for_each_retired_result([this](task_record& r) {
    base::assert_held(mutex_);
    try {
      slots_.harvest_one(r, slot_store::without_memory::give_up);
    } catch (const std::bad_alloc&) {
      lose(r, out_of_memory_);  // no memory for the next record of the slot: it gets none
    }
  });
}

void pool::on_started(const launch::server_event& e) {
  if (!crew_.note_start(e.id, e.pid)) return;
  if (doomed_with_ != 0) crew_.signal(e.id.seat, doomed_with_);
  // The worker may have begun a task that was cancelled before the parent knew the pid.
  for (u32 i = 0; i < region_.allocated_slots(); ++i) {
    u64 word = 0;
    if (record_at(i)->load(word) && shm::phase_of(word) == shm::task_phase::kill &&
        shm::worker_of(word) == e.id.seat) {
      crew_.kill_worker(e.id.seat);
    }
  }
}

void pool::on_exited(const launch::server_event& e) noexcept {
  if (!crew_.has(e.id)) return;
  const worker_death d{e.id, e.pid, e.exit_kind, e.exit_status, e.error, stderr_.take_tail(e.pid)};
  const bool had_task = sweep(e.id.seat, d);
  const std::size_t tasks = vacate(e.id.seat, submitted_);
  // A wake-up may be lost with the worker: it may have cleared a sleeper's bit without waking it,
  // or was woken and took no task. So all workers are woken to look for tasks.
  roster_.wake_all();
  if (crew_.is_away(e.id.seat)) {
    crew_.note_leave(e.id.seat, waiting_hints() != 0);
    return;
  }
  judge(d, had_task || tasks != 0);
}

void pool::on_start_failed(const launch::server_event& e) noexcept {
  vacate(e.id.seat, 0);
  judge({e.id, 0, 0, 0, e.error}, false);
}

// Takes back what the worker of the seat had, and returns how many tasks it has completed.
std::size_t pool::vacate(u32 index, std::size_t most_tasks) noexcept {
  const crew::past_life past = crew_.vacate(index, most_tasks);
  watch_.forget(index);
  partitions_.retire(past.partition);
  release_row(index);
  return past.tasks;
}

void pool::judge(const worker_death& d, bool progress) noexcept {
  if (stopped_by_force() || drained_) return;
  const crew::verdict verdict = crew_.judge(d, progress);
  if (verdict == crew::verdict::restart) return;
  break_pool([&] {
    base::assert_held(mutex_);
    return crew_.cause(verdict, d);
  });
}

}  // namespace procpool::parent
