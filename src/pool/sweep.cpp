// The sweep: what the parent does when a worker has died. It may run any number of times for the
// same death. It is called after proof (the fork server has reaped the process) and under the
// pool's mutex, and it brings the region into the state that the dead worker would have left if it
// had stopped between two tasks:
//
//   1. its roles and its sleeping bit are cleared, its done-list is emptied
//   2. CLAIMED, not started    -> READY again, with a new hint: no effect of the task was visible;
//                                 the third time CRASHED
//      CLAIMED, started        -> CRASHED, or READY again if the task has retries left
//      KILL by a cancellation  -> CRASHED with cancelled_error
//      KILL by a time limit    -> as CLAIMED and started, with task_timeout
//      DONE, a thread sleeps   -> woken: the worker may have died before it sent the wake-up
//      READY, hint already taken -> a new hint: the dead worker may have taken the hint and no more
//   3. large results move to private memory, so that the worker's partition can be used again;
//      results that do not fit into memory stay, and the partition stays with them
//
// A task whose word is impossible (see doubts.cpp) crashes with this worker: the stray write that
// damaged the word is the likely cause of the death. The sweep needs no memory: an outcome or an
// error that cannot be allocated becomes std::bad_alloc, of that task or of those items.
//
// Only the tasks that the dead worker had started are affected; all others continue.
#include <algorithm>
#include <csignal>
#include <limits>
#include <new>

#include "futures/kept_error.hpp"
#include "os/futex.hpp"
#include "pool/pool.hpp"
#include "procpool/errors.hpp"

namespace procpool::parent {
namespace {

using futures::kept_current_error;
using futures::kept_error;
using shm::task_phase;
using shm::u32;
using shm::u64;

// A worker rarely dies between claim and start. If the workers of one task do so repeatedly, the
// task itself clears its started mark.
constexpr u32 most_put_back = 2;

u32 count_death_before_start(task_record& r) noexcept {
  if (r.died_before_start != r.generation) {
    r.died_before_start = r.generation;
    r.deaths_before_start = 0;
  }
  return ++r.deaths_before_start;
}

// Whether its time limit has ended the task.
bool is_overrun(const task_record& r) noexcept {
  // relaxed: changed and read under the mutex, except for a guess in cancel()
  return r.overrun.load(std::memory_order_relaxed) == r.generation;
}

}  // namespace

// True if the worker died in a task.
bool pool::sweep(u32 index, const worker_death& d) noexcept {
  bool had_task = false;
  slots_.allow_saving();
  roster_.drop_roles(index);
  roster_.clear_asleep(index);
  hints_.repair();
  {
    const base::lock_guard hub(completion_hub::instance().mutex());
    drain();
  }
  const u64 head = region_.control().head.load();
  for (u32 i = 0; i < region_.allocated_slots(); ++i) {
    task_record& r = *record_at(i);
    // acquire: as in first_unresolved
    if (r.references.load(std::memory_order_acquire) == 0) continue;
    const shm::slot* s = r.slot.load();
    if (s == nullptr) continue;
    // acquire: DONE publishes the outcome
    const u64 word = s->word.load(std::memory_order_acquire);
    const task_phase phase = shm::phase_of(word);
    if (!is_possible(r, word) || (phase == task_phase::claimed && shm::worker_of(word) != index &&
                                  runs_elsewhere(r, word))) {
      had_task = true;
      lose(r, crash_error(describe(r, d, 1)));
      continue;
    }
    if (phase == task_phase::ready) {
      if (r.hint_position < head) {
        // If a live worker claims the task at this moment, the new hint is a harmless duplicate.
        hints_.put(r);
      }
      continue;
    }
    if (shm::worker_of(word) != index) continue;
    if (phase == task_phase::claimed || phase == task_phase::kill) {
      // acquire: the worker is dead, and all its stores are visible; this load comes before the
      // others
      const u32 stamp = region_.at(i).started.load(std::memory_order_acquire);
      if (phase == task_phase::kill && !is_overrun(r)) {
        had_task = true;
        resolve_killed(r, word);
      } else if (phase == task_phase::claimed && stamp != shm::started_stamp(word) &&
                 count_death_before_start(r) <= most_put_back) {
        requeue(r, word);
      } else {
        had_task = true;
        crash(r, word, d);
      }
    } else if (phase == task_phase::done) {
      keep_outcome(r, word);
    }
  }
  {
    // Delivers the tasks that the sweep resolved, and the tasks that the worker published without
    // ringing.
    completion_hub& hub = completion_hub::instance();
    const base::lock_guard lock(hub.mutex());
    drain();
    hub.ring();
  }
  deliver_lost();
  return had_task;
}

// The dead worker had completed the task.
void pool::keep_outcome(task_record& r, u64 word) noexcept {
  bool complete = true;
  try {
    if (r.names_objects(word)) take_over_objects(r, word);
  } catch (const std::exception&) {
    complete = false;  // the named objects are released with the worker's row
  }
  shm::slot& s = region_.at(r.index);
  if ((word & shm::waiter_flag) != 0) {
    os::futex_wake(s.word, std::numeric_limits<int>::max());
  }
  if (!complete) {
    lose(r, out_of_memory_);
    return;
  }
  // relaxed: the sweep has acquired DONE
  if (r.items == 0 && s.block.load(std::memory_order_relaxed) == 0) return;
  try {
    slots_.harvest_one(r, slot_store::without_memory::leave);
  } catch (const std::exception&) {
    // The outcome stays in place, and its partition is not free before the outcome is read.
  }
}

death_record pool::describe(task_record& r, const worker_death& d, int attempt) const noexcept {
  const shm::worker_block& line = region_.worker(d.id.seat);
  death_record record;
  record.pid = d.pid;
  record.signal = d.exit_kind == CLD_EXITED ? 0 : d.exit_status;
  record.exit_code = d.exit_kind == CLD_EXITED ? d.exit_status : 0;
  record.core_dumped = d.exit_kind == CLD_DUMPED;
  record.with_pool = doomed_with_ != 0 && record.signal == doomed_with_;
  record.attempt = attempt;
  if (is_overrun(r)) record.time_limit = r.time_limit;
  try {
    record.label = r.label();
    record.trace.assign(line.trace,
                        std::min<std::size_t>(line.trace_length.load(), shm::trace_bytes));
    record.stderr_tail = d.stderr_tail;
    if (line.ready.load() == shm::descriptors_closed) record.cause = crew_.report_of(d.id.seat);
  } catch (const std::bad_alloc&) {
    // The numbers of the record are the most important part.
  }
  return record;
}

std::exception_ptr pool::crash_error(const death_record& record) const noexcept {
  if (record.time_limit != duration::zero()) {
    return kept_error([&] { return task_timeout(record); }, out_of_memory_);
  }
  return kept_error([&] { return worker_crashed(record); }, out_of_memory_);
}

void pool::crash(task_record& r, u64 word, const worker_death& d) noexcept {
  if (r.items != 0) {
    crash_item(r, word, d);
    return;
  }
  const int attempt = r.extras ? r.extras->attempt : 1;
  const bool again = r.extras && r.extras->retries > 0 && !stopped_by_force();
  death_record record = describe(r, d, attempt);
  record.will_retry = again;
  // Not within the call below: copies of an exception share their text, and this copy must be
  // destroyed before another thread can read the other.
  std::exception_ptr e;
  if (!again) e = crash_error(record);
  note_death(record);
  if (!again) {
    resolve_with(r, word, std::move(e));
    return;
  }
  --r.extras->retries;
  ++r.extras->attempt;
  requeue(r, word);
}

// The items before the running one are delivered, the running item has crashed or is retried, and
// another worker runs the rest: the chunk restarts after its last settled item.
void pool::crash_item(task_record& r, u64 word, const worker_death& d) noexcept {
  const auto& line = *reinterpret_cast<const shm::chunk_progress*>(r.slot.load()->bytes);
  // Loaded once, then checked. acquire: publishes the outcomes that it counts
  const u64 progress = line.progress.load(std::memory_order_acquire);
  const u32 begun = line.begun.load(std::memory_order_relaxed);
  const u32 before = r.first_item, finished = shm::progress_finished(progress);
  task_extras* more = nullptr;
  try {
    more = &r.more();
    more->pieces.reserve(more->pieces.size() + 2);
  } catch (const std::bad_alloc&) {
    more = nullptr;
  }
  if (more == nullptr || finished < before || finished > r.items) {
    // No memory for the chunk's pieces, or the count of finished items is impossible: the rest of
    // the chunk is lost.
    const death_record record = describe(r, d, 1);
    std::exception_ptr e = more == nullptr ? out_of_memory_ : crash_error(record);
    note_death(record);
    resolve_with(r, word, std::move(e));
    return;
  }
  settle_finished(r, word, progress);
  // Between two items no user code ran. If no item had finished, the worker died while it decoded
  // the function, which counts as the crash of the first item. So each death settles an item or
  // costs an attempt.
  const bool between = begun == finished && finished > before;
  if (finished < r.items && !between) settle_item(r, *more, d);
  if (r.first_item == r.items) {
    resolve_with(r, word, nullptr);
    return;
  }
  requeue(r, word);
}

// The item r.first_item was running when its worker died. `pieces` has room for one more.
void pool::settle_item(task_record& r, task_extras& more, const worker_death& d) noexcept {
  if (more.attempted != r.first_item + 1) {
    more.attempted = r.first_item + 1;
    more.attempt = 1;
  }
  death_record record = describe(r, d, more.attempt);
  record.will_retry = more.attempt <= more.retries && !stopped_by_force();
  chunk_piece lost;
  lost.items = 1;
  if (!record.will_retry) lost.error = crash_error(record);
  note_death(record);
  if (record.will_retry) {
    ++more.attempt;
    return;
  }
  more.pieces.push_back(std::move(lost));
  ++r.first_item;
}

// Copies the outcomes of the items [r.first_item, finished) out of the dead worker's partition.
// `pieces` has room for one more.
void pool::settle_finished(task_record& r, u64 word, u64 progress) noexcept {
  const u32 finished = shm::progress_finished(progress);
  if (finished == r.first_item) return;
  chunk_piece piece;
  try {
    piece = copy_items(r, word, progress);
    const auto& line = *reinterpret_cast<const shm::chunk_progress*>(r.slot.load()->bytes);
    if (line.objects.load() != 0) take_over_piece(r, word, piece);
  } catch (const std::bad_alloc&) {
    piece = {finished - r.first_item, {}, out_of_memory_};
  } catch (...) {
    piece = {finished - r.first_item, {}, kept_current_error(out_of_memory_)};
  }
  r.extras->pieces.push_back(std::move(piece));
  r.first_item = finished;
}

// Copies the outcomes of the items [r.first_item, finished); an empty piece if there are none.
// Throws codec_error if the offset or length that the worker stored is impossible, std::bad_alloc,
// and std::system_error.
chunk_piece pool::copy_items(task_record& r, u64 word, u64 progress) {
  base::assert_held(mutex_);  // also called by slot_store, which does not see the mutex
  const u32 finished = shm::progress_finished(progress);
  chunk_piece piece;
  if (finished <= r.first_item || finished > r.items) return piece;
  const auto& line = *reinterpret_cast<const shm::chunk_progress*>(r.slot.load()->bytes);
  const u64 bytes = u64{shm::progress_units(progress)} * 8;
  const std::byte* data = result_bytes(word, line.outcomes.load(), bytes);
  slots_.charge_saving(bytes);
  piece.outcomes.assign(data, data + bytes);
  piece.items = finished - r.first_item;
  return piece;
}

// Makes the task READY again, in the state after submit. The waiter and notify flags stay.
void pool::requeue(task_record& r, u64 word) noexcept {
  if (stopped_by_force()) {
    const auto broken = [this] {
      base::assert_held(mutex_);
      return broken_process_pool(broken_);
    };
    std::exception_ptr e = broken_.empty()
                               ? kept_error([] { return cancelled_error(); }, out_of_memory_)
                               : kept_error(broken, out_of_memory_);
    resolve_with(r, word, std::move(e));
    return;
  }
  shm::slot& s = *r.slot.load();
  if (r.items != 0) {
    // All of it is written anew from the parent's record; the store of READY releases it.
    auto& line = *new (s.bytes) shm::chunk_progress{};
    line.first = r.first_item;
    line.count = r.items;
    line.progress.store(shm::make_progress(r.first_item, 0), std::memory_order_relaxed);
  } else if (r.extras) {
    std::copy_n(r.extras->kept, r.extras->kept_bytes, s.bytes);
  }
  s.length.store(r.payload_length, std::memory_order_relaxed);
  s.block.store(r.payload_block, std::memory_order_relaxed);
  s.started.store(0, std::memory_order_relaxed);
  r.doubted_word = 0;  // the same worker may claim it again
  r.off_list.store(false, std::memory_order_relaxed);
  {
    // The dead worker pushed the slot before the task was done; the next worker will push it again.
    const base::lock_guard hub(completion_hub::instance().mutex());
    if (r.not_done_yet) forget_not_done(r);
  }
  // A flag may be set at any time. Otherwise only a cancel changes the word of a dead worker's
  // task, from CLAIMED to KILL: the task is not put back then. A KILL by the time limit is put
  // back, and stays one: a cancel of such a task needs the mutex.
  const bool by_limit = shm::phase_of(word) == task_phase::kill;
  r.overrun.store(no_generation, std::memory_order_relaxed);  // as in is_overrun()
  while (!s.word.compare_exchange_strong(
      word, shm::make_word(r.generation, task_phase::ready, 0, word & shm::flags_mask))) {
    if (shm::phase_of(word) == task_phase::kill && !by_limit) {
      resolve_killed(r, word);
      return;
    }
  }
  hints_.put(r);
}

void pool::resolve_killed(task_record& r, u64 word) noexcept {
  // release: stored before the word, for status()
  r.was_cancelled.store(true, std::memory_order_release);
  const auto error = [] {
    return cancelled_error("the task was cancelled while it ran: its worker was killed");
  };
  resolve_with(r, word, kept_error(error, out_of_memory_));
}

void pool::resolve_with(task_record& r, u64 word, std::exception_ptr e) noexcept {
  shm::slot& s = *r.slot.load();
  r.error = std::move(e);
  // release: publishes the error, before the word says CRASHED
  while (!s.word.compare_exchange_strong(word, shm::with_phase(word, task_phase::crashed))) {
    if (shm::is_resolved(word)) return;
  }
  // Under the pool's mutex the record is not reused for another task, even if its future is
  // destroyed now.
  r.drop_argument_objects();
  announce(r);
}

}  // namespace procpool::parent
