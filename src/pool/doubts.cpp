// A task's stray write may overwrite the words that the parent and its workers share. The parent
// checks these words against its private knowledge: which task has the slot, which workers live,
// which hints were put. It checks when a worker has died, when a wait has lasted half a second
// without a wake-up, and when the pool closes; never on a task's usual path.
//
//   state word             impossible: the task gets the error of the death, or codec_error
//   head, tail, roles      repaired; READY tasks get new hints
//   done-lists             truncated: deliver_lost() notifies the listeners of tasks cut off
//
// The slot of such a task is not used again: a worker that still runs the task will publish into
// it.
#include <limits>

#include "futures/kept_error.hpp"
#include "os/futex.hpp"
#include "pool/pool.hpp"
#include "procpool/errors.hpp"

namespace procpool::parent {

using futures::kept_error;
using shm::task_phase;
using shm::u32;
using shm::u64;
using namespace std::chrono_literals;

namespace {

constexpr duration requeue_pause = 500ms;

}  // namespace

void pool::look_after(task_record& r) noexcept {
  bool hinted = false;
  {
    const base::lock_guard lock(mutex_);
    hints_.repair();
    hinted = look_at(r);
  }
  if (hinted) kick();
}

// A stopped worker may have taken the hints of tasks that other workers could run.
void pool::requeue_stale_hints() noexcept {
  bool any = false;
  {
    const base::lock_guard lock(mutex_);
    const time_point now = std::chrono::steady_clock::now();
    if (now - last_requeue_ < requeue_pause) return;
    last_requeue_ = now;
    hints_.repair();
    for (u32 i = 0; i < region_.allocated_slots(); ++i) {
      if (look_at(*record_at(i))) any = true;
    }
    deliver_lost();
  }
  if (any) kick();
}

std::exception_ptr pool::damage_error() const noexcept {
  return kept_error([] { return codec_error(damaged_text); }, out_of_memory_);
}

// Whether the task of a record in use can have that state word.
bool pool::is_possible(const task_record& r, u64 word) const noexcept {
  if (shm::generation_of(word) != r.generation || (word & shm::unused_mask) != 0) return false;
  const u32 worker = shm::worker_of(word);
  switch (shm::phase_of(word)) {
    case task_phase::ready:
      return can_be_ready(region_.at(r.index), word);
    case task_phase::claimed:
    case task_phase::kill:
      return crew_.is_taken(worker);
    case task_phase::done:
    case task_phase::crashed:
    case task_phase::cancelled:
      return true;  // the reader of the outcome checks the rest
    case task_phase::free:
      break;
  }
  return false;
}

// Whether the live worker that the word names certainly does not run this task: it sleeps, or it
// has completed other tasks since.
bool pool::runs_elsewhere(task_record& r, u64 word) const noexcept {
  const u32 worker = shm::worker_of(word);
  const auto unchanged = [&] {
    return ((r.slot.load()->word.load() ^ word) & ~shm::flags_mask) == 0;
  };
  if (roster_.is_asleep(worker) && unchanged()) return true;
  // relaxed: the worker counts each task after it, possibly after its next claim: the count may lag
  // by one
  const u64 tasks = region_.worker(worker).tasks.load(std::memory_order_relaxed);
  const u64 claim = word & ~shm::flags_mask;
  if (r.doubted_word == claim && tasks > r.doubted_tasks + 1) return unchanged();
  if (r.doubted_word != claim) {
    r.doubted_word = claim;
    r.doubted_tasks = tasks;
  }
  return false;
}

// True if the task got a new hint.
bool pool::look_at(task_record& r) noexcept {
  // acquire: as in first_unresolved
  if (r.references.load(std::memory_order_acquire) == 0) return false;
  shm::slot* s = r.slot.load();
  if (s == nullptr) return false;
  const u64 word = s->word.load();
  if (!is_possible(r, word)) {
    lose(r, damage_error());
    return false;
  }
  switch (shm::phase_of(word)) {
    case task_phase::ready:
      // relaxed: changed only under the mutex
      if (r.hint_position.load(std::memory_order_relaxed) >= region_.control().head.load()) {
        return false;
      }
      hints_.put(r);
      return true;
    case task_phase::claimed:
      if (runs_elsewhere(r, word)) lose(r, damage_error());
      return false;
    case task_phase::kill: {
      if (runs_elsewhere(r, word)) {
        lose(r, damage_error());
        return false;
      }
      // Sends SIGKILL again: a worker that finds KILL in the word waits for the signal.
      crew_.kill_worker(shm::worker_of(word));
      return false;
    }
    default:
      return false;
  }
}

// Resolves a task whose state word is unusable.
void pool::lose(task_record& r, std::exception_ptr e) noexcept {
  std::uint32_t unpinned = 0;
  // A thread that reads the outcome detects the damage, and the slot is abandoned with the future.
  if (!r.pins.compare_exchange_strong(unpinned, harvesting)) return;
  if (r.references.load() == 0) {
    // The future was destroyed during the checks above.
    r.pins.store(0, std::memory_order_relaxed);
    return;
  }
  r.error = std::move(e);
  r.saved_exception = false;
  shm::slot& s = *r.slot.load();
  slots_.abandon_slot(r);
  // release: publishes the error with the mark, as in harvest_one
  r.pins.fetch_add(harvested - harvesting, std::memory_order_release);
  os::futex_wake(s.word, std::numeric_limits<int>::max());
  r.drop_argument_objects();
  completion_hub& hub = completion_hub::instance();
  const base::lock_guard lock(hub.mutex());
  if (r.not_done_yet) forget_not_done(r);
  r.deliver();
  hub.ring();
}

// A worker pushes a slot on its done-list before it sets the word to DONE. So a task that is done,
// and is on no list when all lists have been drained, was on a list whose links or head were
// overwritten.
void pool::deliver_lost() noexcept {
  completion_hub& hub = completion_hub::instance();
  const base::lock_guard lock(hub.mutex());
  bool any = false;
  for (u32 i = 0; i < region_.allocated_slots(); ++i) {
    task_record& r = *record_at(i);
    const auto is_due = [&r] {
      return r.references.load() != 0 && (!r.listeners.empty() || r.dropped) && r.resolved();
    };
    if (!is_due()) continue;
    drain();
    if (!is_due()) continue;
    r.off_list.store(true, std::memory_order_relaxed);
    if (r.not_done_yet) forget_not_done(r);
    r.deliver();
    any = true;
  }
  if (any) hub.ring();
}

}  // namespace procpool::parent
