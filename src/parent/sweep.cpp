// What happens when a worker has died: one function, which may run any number of times for the same
// death. It is called after proof (the fork server has reaped the process) and under the pool's
// mutex, and it puts the region into the state that the dead worker would have left if it had
// stopped between two tasks:
//
//   1. its roles and its sleeping bit are cleared, its done-list is emptied
//   2. CLAIMED, not started    -> READY again, with a new hint: nobody has seen anything of it
//      CLAIMED, started        -> CRASHED, or READY again if the task has retries left
//      KILL                    -> CRASHED with cancelled_error: who asked for the kill gets it
//      DONE, somebody sleeps   -> woken: the worker may have died before it did that
//      READY, hint already taken -> a new hint: the dead worker may have taken it and nothing more
//   3. large results move to private memory, so that its partition can be used again
//
// Exactly the tasks that it had started are concerned; everybody else goes on.
#include <algorithm>
#include <csignal>
#include <limits>
#include <new>

#include "os/futex.hpp"
#include "parent/pool.hpp"
#include "procpool/errors.hpp"

namespace procpool::parent {
namespace {

using shm::task_phase;
using shm::u32;
using shm::u64;

}  // namespace

// True if the worker died in a task.
bool pool::sweep(u32 index, const death& d) {
  bool had_task = false;
  roster_.drop_roles(index);
  roster_.clear_asleep(index);
  {
    const std::lock_guard hub(completion_hub::instance().mutex());
    drain();
  }
  const u64 head = region_.control().head.load();
  for (u32 i = 0; i < region_.allocated_slots(); ++i) {
    task_record& r = *record_at(i);
    u64 word = 0;
    if (!r.load(word)) continue;
    const task_phase phase = shm::phase_of(word);
    if (phase == task_phase::ready) {
      if (r.hint_position < head) {
        // Claimed in this moment by a live worker? Then the new hint is a harmless duplicate.
        put_hint(r);
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
      } else if (stamp != shm::started_stamp(word)) {
        put_back(r, word);
      } else {
        had_task = true;
        crash(r, word, d);
      }
    } else if (phase == task_phase::done) {
      if (r.names_objects()) take_over_objects(r, word);
      if ((word & shm::waiter_flag) != 0) {
        os::futex_wake(region_.at(i).word, std::numeric_limits<int>::max());
      }
      // relaxed: load() has acquired DONE
      if (r.items != 0 || region_.at(i).block.load(std::memory_order_relaxed) != 0) {
        harvest_one(r);
      }
    }
  }
  {
    // Those that the sweep resolved, and those that the worker published without ringing.
    completion_hub& hub = completion_hub::instance();
    const std::lock_guard lock(hub.mutex());
    drain();
    hub.ring();
  }
  return had_task;
}

death_record pool::describe(task_record& r, const death& d, int attempt) const {
  const shm::worker_line& line = region_.line(d.id.seat);
  death_record record;
  record.label = r.label();
  record.pid = d.pid;
  record.signal = d.exit_kind == CLD_EXITED ? 0 : d.exit_status;
  record.exit_code = d.exit_kind == CLD_EXITED ? d.exit_status : 0;
  record.core_dumped = d.exit_kind == CLD_DUMPED;
  record.with_pool = doomed_with_ != 0 && record.signal == doomed_with_;
  record.attempt = attempt;
  record.trace.assign(line.trace,
                      std::min<std::size_t>(line.trace_length.load(), shm::trace_bytes));
  record.stderr_tail = d.stderr_tail;
  return record;
}

void pool::crash(task_record& r, u64 word, const death& d) {
  if (r.items != 0) {
    crash_item(r, word, d);
    return;
  }
  const int attempt = r.extras ? r.extras->attempt : 1;
  const bool again = r.extras && r.extras->retries > 0 && !stopped_by_force();
  death_record record = describe(r, d, attempt);
  record.will_retry = again;
  // Before the death is noted, since it may throw. Not in the call: copies of an exception share
  // their text, and this one is to be gone before anybody can read the other.
  std::exception_ptr e;
  if (!again) e = std::make_exception_ptr(worker_crashed(record));
  note_death(record);
  if (!again) {
    resolve_with(r, word, std::move(e));
    return;
  }
  --r.extras->retries;
  ++r.extras->attempt;
  put_back(r, word);
}

// The items before the one that ran are delivered, that one has crashed or is tried again, the
// rest go on in another worker: the chunk begins anew behind what is settled.
void pool::crash_item(task_record& r, u64 word, const death& d) {
  auto& line = *reinterpret_cast<shm::chunk_progress*>(r.slot.load()->bytes);
  const u32 finished = std::max(line.first, shm::progress_finished(line.progress.load()));
  const u32 begun = line.begun.load(std::memory_order_relaxed);
  task_extras& more = r.more();
  save_items(r, word, finished);
  if (finished >= r.items) {
    // It died between its last item and DONE.
    resolve_with(r, word, nullptr);
    return;
  }
  u32 next = finished;
  if (begun == finished + 1 || begun == 0) {
    // begun == 0: it died while it decoded the function; the first item takes the blame.
    if (more.attempted != finished + 1) {
      more.attempted = finished + 1;
      more.attempt = 1;
    }
    death_record record = describe(r, d, more.attempt);
    record.will_retry = more.attempt <= more.retries && !stopped_by_force();
    chunk_piece lost;
    lost.items = 1;
    if (!record.will_retry) lost.error = std::make_exception_ptr(worker_crashed(record));
    more.pieces.reserve(more.pieces.size() + 1);
    note_death(record);
    // From here on nothing throws.
    if (record.will_retry) {
      ++more.attempt;
    } else {
      more.pieces.push_back(std::move(lost));
      next = finished + 1;
    }
  }
  if (next == r.items) {
    resolve_with(r, word, nullptr);
    return;
  }
  line.first = next;
  put_back(r, word);
}

// Copies the outcomes of the items [line.first, finished) out of the dead worker's partition.
void pool::save_items(task_record& r, u64 word, u32 finished) {
  auto& line = *reinterpret_cast<shm::chunk_progress*>(r.slot.load()->bytes);
  const u32 first = line.first;
  if (finished <= first || finished > r.items) return;
  std::vector<chunk_piece>& pieces = r.more().pieces;
  // Without memory for all of it nothing happens, and the sweep begins again later.
  pieces.reserve(pieces.size() + (finished - first));
  chunk_piece piece;
  piece.items = finished - first;
  try {
    if (r.names_objects()) take_over_objects(r, word);
    const u64 bytes = u64{shm::progress_units(line.progress.load())} * 8;
    const std::byte* data = result_bytes(word, line.outcomes.load(), bytes);
    piece.outcomes.assign(data, data + bytes);
    if (shm::phase_of(word) != task_phase::done && line.objects.load() != 0) {
      take_over_piece(r, word, piece);
    }
    pieces.push_back(std::move(piece));
  } catch (const std::bad_alloc&) {
    throw;
  } catch (const std::exception&) {
    for (u32 i = first; i < finished; ++i) pieces.push_back({1, {}, std::current_exception()});
  }
  line.first = finished;
}

// Ready once more, as submit left it. The flags of those who wait stay.
void pool::put_back(task_record& r, u64 word) {
  if (stopped_by_force()) {
    std::exception_ptr e = broken_.empty() ? std::make_exception_ptr(cancelled_error())
                                           : std::make_exception_ptr(broken_process_pool(broken_));
    resolve_with(r, word, std::move(e));
    return;
  }
  shm::slot& s = *r.slot.load();
  if (r.items != 0) {
    auto& line = *reinterpret_cast<shm::chunk_progress*>(s.bytes);
    // relaxed, all of these: the word that says READY releases them
    line.begun.store(0, std::memory_order_relaxed);
    line.progress.store(shm::make_progress(line.first, 0), std::memory_order_relaxed);
    line.outcomes.store(0, std::memory_order_relaxed);
  } else if (r.extras && !r.extras->inline_payload.empty()) {
    std::copy(r.extras->inline_payload.begin(), r.extras->inline_payload.end(), s.bytes);
  }
  s.length.store(r.payload_length, std::memory_order_relaxed);
  s.block.store(r.payload_block, std::memory_order_relaxed);
  s.started.store(0, std::memory_order_relaxed);
  r.off_list.store(false, std::memory_order_relaxed);
  {
    // The dead worker pushed it before it was done: its next worker will push it again.
    const std::lock_guard hub(completion_hub::instance().mutex());
    if (r.not_done_yet) forget_not_done(r);
  }
  // A flag may appear at any time; nothing else changes the word of a dead worker's task, but for
  // a cancel that turns CLAIMED into KILL: then there is nothing to put back.
  while (!s.word.compare_exchange_strong(
      word, shm::make_word(word, task_phase::ready, 0, word & shm::flags_mask))) {
    if (shm::phase_of(word) == task_phase::kill) {
      resolve_killed(r, word);
      return;
    }
  }
  put_hint(r);
}

void pool::resolve_killed(task_record& r, u64 word) {
  // release: before the word, for status()
  r.was_cancelled.store(true, std::memory_order_release);
  std::exception_ptr e = std::make_exception_ptr(
      cancelled_error("the task was cancelled while it ran: its worker was killed"));
  resolve_with(r, word, std::move(e));
}

void pool::resolve_with(task_record& r, u64 word, std::exception_ptr e) {
  shm::slot& s = *r.slot.load();
  r.error = std::move(e);
  // release: the error before the word that says it is there
  while (!s.word.compare_exchange_strong(word, shm::with_phase(word, task_phase::crashed))) {
    if (shm::is_resolved(word)) return;
  }
  // Under the pool's mutex the record is not used for another task, even if its future goes now.
  r.let_arguments_go();
  announce(r);
}

u64 pool::take_partition(u32 seat_index) {
  reclaim_partitions();
  for (u64 p = 1; p < partitions_.size(); ++p) {
    partition_use& use = partitions_[p];
    if (use.taken) continue;
    use.taken = true;
    // release: for result_bytes, before any worker can write there
    use.seat.store(seat_index, std::memory_order_release);
    return p;
  }
  return 0;
}

void pool::retire_partition(u64 p) {
  if (p == 0 || partitions_[p].retired) return;
  partitions_[p].retired = true;
  ++retired_;
}

// A dead worker's partition can be used again once nobody reads a result in it.
void pool::reclaim_partitions() {
  if (retired_ == 0) return;
  std::vector<bool> read(partitions_.size());
  for (u32 i = 0; i < region_.allocated_slots(); ++i) {
    const task_record& r = *record_at(i);
    u64 word = 0;
    // acquire: the reader's last look, before its memory is used again
    if (r.references.load(std::memory_order_acquire) == 0 || !r.load(word)) continue;
    if (shm::phase_of(word) != task_phase::done) continue;
    const shm::slot& s = region_.at(i);
    const u64 block = r.items != 0
                          ? reinterpret_cast<const shm::chunk_progress*>(s.bytes)->outcomes.load()
                          : s.block.load();
    if (block < region_.arena_offset()) continue;
    const u64 p = region_.partition_of(block);
    if (p < read.size()) read[p] = true;
  }
  for (u64 p = 1; p < partitions_.size(); ++p) {
    partition_use& use = partitions_[p];
    if (!use.taken || !use.retired || read[p]) continue;
    use.taken = use.retired = false;
    --retired_;
  }
}

}  // namespace procpool::parent
