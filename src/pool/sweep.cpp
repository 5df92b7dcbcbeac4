// What happens when a worker has died: one function, which may run any number of times for the same
// death. It is called after proof (the fork server has reaped the process) and under the pool's
// mutex, and it puts the region into the state that the dead worker would have left if it had
// stopped between two tasks:
//
//   1. its roles and its sleeping bit are cleared, its done-list is emptied
//   2. CLAIMED, not started    -> READY again, with a new hint: nobody has seen anything of it; the
//                                 third time CRASHED
//      CLAIMED, started        -> CRASHED, or READY again if the task has retries left
//      KILL                    -> CRASHED with cancelled_error: who asked for the kill gets it
//      DONE, somebody sleeps   -> woken: the worker may have died before it did that
//      READY, hint already taken -> a new hint: the dead worker may have taken it and nothing more
//   3. large results move to private memory, so that its partition can be used again; without
//   memory
//      for them they stay, and so does the partition
//
// A task whose word cannot be true (see doubts.cpp) has crashed with this worker: who writes where
// it must not dies of it, sooner or later. Nothing here needs memory: what cannot be kept or said
// without any is std::bad_alloc, of that task or of those items.
//
// Exactly the tasks that it had started are concerned; everybody else goes on.
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

constexpr u32 descriptors_closed = 3;  // worker_block::ready
// A worker dies between claim and start by a rare chance. A task whose workers do that again and
// again clears the mark that it has started.
constexpr u32 most_put_back = 2;

u32 count_death_before_start(task_record& r) noexcept {
  if (r.died_before_start != r.generation) {
    r.died_before_start = r.generation;
    r.deaths_before_start = 0;
  }
  return ++r.deaths_before_start;
}

}  // namespace

// True if the worker died in a task.
bool pool::sweep(u32 index, const death& d) noexcept {
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
    // acquire: with DONE comes the outcome
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
        // Claimed in this moment by a live worker? Then the new hint is a harmless duplicate.
        hints_.put(r);
      }
      continue;
    }
    if (shm::worker_of(word) != index) continue;
    if (phase == task_phase::claimed || phase == task_phase::kill) {
      // acquire: the worker is dead, and all its stores are visible; this one is read first
      const u32 stamp = region_.at(i).started.load(std::memory_order_acquire);
      if (phase == task_phase::kill) {
        had_task = true;
        resolve_killed(r, word);
      } else if (stamp != shm::started_stamp(word) &&
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
    // Those that the sweep resolved, and those that the worker published without ringing.
    completion_hub& hub = completion_hub::instance();
    const base::lock_guard lock(hub.mutex());
    drain();
    hub.ring();
  }
  deliver_lost();
  return had_task;
}

// The dead worker's task is done.
void pool::keep_outcome(task_record& r, u64 word) noexcept {
  bool complete = true;
  try {
    if (r.names_objects(word)) take_over_objects(r, word);
  } catch (const std::exception&) {
    complete = false;  // what it names goes with the worker
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
    // It stays where it lies: reclaim_partitions() finds it there.
  }
}

death_record pool::describe(task_record& r, const death& d, int attempt) const noexcept {
  const shm::worker_block& line = region_.worker(d.id.seat);
  death_record record;
  record.pid = d.pid;
  record.signal = d.exit_kind == CLD_EXITED ? 0 : d.exit_status;
  record.exit_code = d.exit_kind == CLD_EXITED ? d.exit_status : 0;
  record.core_dumped = d.exit_kind == CLD_DUMPED;
  record.with_pool = doomed_with_ != 0 && record.signal == doomed_with_;
  record.attempt = attempt;
  try {
    record.label = r.label();
    record.trace.assign(line.trace,
                        std::min<std::size_t>(line.trace_length.load(), shm::trace_bytes));
    record.stderr_tail = d.stderr_tail;
    if (line.ready.load() == descriptors_closed) record.cause = report_of(d.id.seat);
  } catch (const std::bad_alloc&) {
    // The numbers say the most.
  }
  return record;
}

std::exception_ptr pool::crash_error(const death_record& record) const noexcept {
  return kept_error([&] { return worker_crashed(record); }, out_of_memory_);
}

void pool::crash(task_record& r, u64 word, const death& d) noexcept {
  if (r.items != 0) {
    crash_item(r, word, d);
    return;
  }
  const int attempt = r.extras ? r.extras->attempt : 1;
  const bool again = r.extras && r.extras->retries > 0 && !stopped_by_force();
  death_record record = describe(r, d, attempt);
  record.will_retry = again;
  // Not in the call below: copies of an exception share their text, and this one is to be gone
  // before anybody can read the other.
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

// The items before the one that ran are delivered, that one has crashed or is tried again, the
// rest go on in another worker: the chunk begins anew behind what is settled.
void pool::crash_item(task_record& r, u64 word, const death& d) noexcept {
  const auto& line = *reinterpret_cast<const shm::chunk_progress*>(r.slot.load()->bytes);
  // Loaded once, and believed as far as it can be. acquire: the outcomes that it vouches for
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
    // No room for the books of the chunk, or which items have run is not known: its rest is lost.
    const death_record record = describe(r, d, 1);
    std::exception_ptr e = more == nullptr ? out_of_memory_ : crash_error(record);
    note_death(record);
    resolve_with(r, word, std::move(e));
    return;
  }
  settle_finished(r, word, progress);
  // Between two items nothing ran. With 0 it died while it decoded the function: the first item
  // takes the blame. So each death settles something, or costs an attempt.
  const bool between = begun == finished && finished > before;
  if (finished < r.items && !between) settle_item(r, *more, d);
  if (r.first_item == r.items) {
    resolve_with(r, word, nullptr);
    return;
  }
  requeue(r, word);
}

// The item r.first_item ran when its worker died. There is room for a piece.
void pool::settle_item(task_record& r, task_extras& more, const death& d) noexcept {
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

// The outcomes of the items [r.first_item, finished) are taken out of the dead worker's partition.
// There is room for a piece.
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

// Copies the outcomes of the items [r.first_item, finished): nothing, if there are none. Throws
// codec_error if they are not where the worker says, std::bad_alloc, and std::system_error.
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

// Ready once more, as submit left it. The flags of those who wait stay.
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
    // All of it anew, as the parent knows it: the word that says READY releases it.
    auto& line = *new (s.bytes) shm::chunk_progress{};
    line.first = r.first_item;
    line.count = r.items;
    line.progress.store(shm::make_progress(r.first_item, 0), std::memory_order_relaxed);
  } else if (r.extras && !r.extras->inline_payload.empty()) {
    std::copy(r.extras->inline_payload.begin(), r.extras->inline_payload.end(), s.bytes);
  }
  s.length.store(r.payload_length, std::memory_order_relaxed);
  s.block.store(r.payload_block, std::memory_order_relaxed);
  s.started.store(0, std::memory_order_relaxed);
  r.doubted_word = 0;  // the same worker may claim it again
  r.off_list.store(false, std::memory_order_relaxed);
  {
    // The dead worker pushed it before it was done: its next worker will push it again.
    const base::lock_guard hub(completion_hub::instance().mutex());
    if (r.not_done_yet) forget_not_done(r);
  }
  // A flag may appear at any time; nothing else changes the word of a dead worker's task, but for
  // a cancel that turns CLAIMED into KILL: then there is nothing to put back.
  while (!s.word.compare_exchange_strong(
      word, shm::make_word(r.generation, task_phase::ready, 0, word & shm::flags_mask))) {
    if (shm::phase_of(word) == task_phase::kill) {
      resolve_killed(r, word);
      return;
    }
  }
  hints_.put(r);
}

void pool::resolve_killed(task_record& r, u64 word) noexcept {
  // release: before the word, for status()
  r.was_cancelled.store(true, std::memory_order_release);
  const auto error = [] {
    return cancelled_error("the task was cancelled while it ran: its worker was killed");
  };
  resolve_with(r, word, kept_error(error, out_of_memory_));
}

void pool::resolve_with(task_record& r, u64 word, std::exception_ptr e) noexcept {
  shm::slot& s = *r.slot.load();
  r.error = std::move(e);
  // release: the error before the word that says it is there
  while (!s.word.compare_exchange_strong(word, shm::with_phase(word, task_phase::crashed))) {
    if (shm::is_resolved(word)) return;
  }
  // Under the pool's mutex the record is not used for another task, even if its future goes now.
  r.drop_argument_objects();
  announce(r);
}

}  // namespace procpool::parent
