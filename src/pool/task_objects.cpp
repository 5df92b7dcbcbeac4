// Shared objects that tasks name: the record holds those of the arguments from submit on; the
// worker's row holds those of the outcome until the parent takes them over (see
// objects/object_table.hpp). Both are released with the future; those of the arguments earlier,
// when no worker will ever receive them: a procpool::party of a crashed or cancelled task counts as
// missing at once, even if its future is kept.
#include <new>

#include "pool/pool.hpp"
#include "procpool/errors.hpp"

namespace procpool::parent {
namespace {

using shm::u32;
using shm::u64;
using namespace std::chrono_literals;

}  // namespace

bool task_record::names_objects(u64 word) const noexcept {
  if (shm::generation_of(word) != generation || shm::phase_of(word) != shm::task_phase::done) {
    return false;
  }
  // relaxed: load() has acquired it
  const shm::slot& s = *slot.load(std::memory_order_relaxed);
  // relaxed: DONE was acquired
  if (items == 0) {
    return s.kind.load(std::memory_order_relaxed) ==
           static_cast<u32>(shm::outcome_kind::value_with_objects);
  }
  return reinterpret_cast<const shm::chunk_progress*>(s.bytes)->objects.load(
             std::memory_order_relaxed) != 0;
}

void pool::take_over_objects(task_record& r, u64 word) {
  const base::lock_guard lock(objects_mutex_);
  if (r.objects_of == r.generation) return;
  if (!r.outcome_objects) r.outcome_objects = std::make_unique<object_refs>();
  // Set first, so that it never runs twice: each step subtracts from the worker's counts.
  r.objects_of = r.generation;
  try {
    take_over_outcome(r, word);
  } catch (const std::bad_alloc&) {
    // Retried later if no object was taken over; otherwise the rest is released with the worker's
    // row.
    if (r.outcome_objects->empty()) r.objects_of = ~u64{0};
    throw;
  } catch (const std::exception&) {
    // Damaged or unmappable: reading the outcome reports the error.
  }
}

void pool::take_over_outcome(task_record& r, u64 word) {
  const u32 row = rows_.of(shm::worker_of(word));
  const shm::slot& s = *r.slot.load(std::memory_order_relaxed);
  if (r.items == 0) {
    // relaxed: the caller has acquired DONE
    const u64 length = s.length.load(std::memory_order_relaxed);
    const u64 block = s.block.load(std::memory_order_relaxed);
    if (block == 0 && length > shm::inline_bytes) return;
    const std::byte* bytes = block == 0 ? s.bytes : published_bytes(word, block, length);
    parent_registry::instance().take_over(row, wire::object_list(bytes, length),
                                          *r.outcome_objects);
    return;
  }
  const auto& line = *reinterpret_cast<const shm::chunk_progress*>(s.bytes);
  // acquire: for a chunk that is not DONE, publishes the outcomes that it counts
  const u64 progress = line.progress.load(std::memory_order_acquire);
  const u64 offset = line.outcomes.load(std::memory_order_relaxed);
  const u64 bytes = u64{shm::progress_units(progress)} * 8;
  const u32 finished = shm::progress_finished(progress);
  const u32 first = r.first_item;
  if (finished > r.items || first >= finished) return;
  take_over_items(r, row, result_bytes(word, offset, bytes), bytes, finished - first);
}

// Ends at malformed bytes; reading the outcome reports them.
void pool::take_over_items(task_record& r, u32 row, const std::byte* data, std::size_t size,
                           std::uint32_t items) {
  wire::chunk_reader in(data, size, items);
  try {
    for (wire::chunk_part p; in.next(p);) {
      if (p.kind != shm::outcome_kind::value_with_objects) continue;
      parent_registry::instance().take_over(row, wire::object_list(p.data, p.size),
                                            *r.outcome_objects);
    }
  } catch (const codec_error&) {
    return;
  }
}

// The finished items of a chunk whose worker has died.
void pool::take_over_piece(task_record& r, u64 word, const chunk_piece& piece) {
  const base::lock_guard lock(objects_mutex_);
  if (!r.outcome_objects) r.outcome_objects = std::make_unique<object_refs>();
  take_over_items(r, rows_.of(shm::worker_of(word)), piece.outcomes.data(), piece.outcomes.size(),
                  piece.items);
}

std::unique_ptr<object_refs> pool::release_outcome_objects(task_record& r) noexcept {
  const base::lock_guard lock(objects_mutex_);
  return std::move(r.outcome_objects);
}

void task_record::drop_argument_objects() noexcept {
  // acquire: the objects as set by submit; the exchange gives them to one thread only
  delete argument_objects.exchange(nullptr, std::memory_order_acquire);
}

void task_record::drop_outcome_objects(u64 word) noexcept {
  try {
    if (names_objects(word)) owner->take_over_objects(*this, word);
  } catch (...) {
    // Objects that cannot be taken over are released with the worker's row.
  }
  owner->release_outcome_objects(*this);  // freed here, without the mutex
}

// 0 if no row is free: the worker's tasks cannot use shared objects then.
u32 pool::take_row(u32 seat_index) {
  const u32 row = parent_registry::instance().acquire_row();
  const base::lock_guard lock(objects_mutex_);
  rows_.exchange(seat_index, row);
  return row;
}

// The worker is dead and swept, or was never started.
void pool::release_row(u32 seat_index) noexcept {
  u32 row = 0;
  {
    const base::lock_guard lock(objects_mutex_);
    row = rows_.exchange(seat_index, 0);
  }
  if (row != 0) parent_registry::instance().put_back_row(row);
}

// Called by the supervisor. A worker does not report when it drops the last handle of an object
// (from a static variable of a task, for example), or when it completes a task whose future was
// dropped. So the supervisor polls, at growing intervals.
void pool::look_after_objects() noexcept {
  if (!parent_registry::any_made()) return;
  // relaxed: a hint, checked again later
  bool dropped = dropped_.load(std::memory_order_relaxed) != 0;
  if (dropped) {
    const base::lock_guard hub(completion_hub::instance().mutex());
    drain();
    dropped = dropped_.load(std::memory_order_relaxed) != 0;
  }
  parent_registry& all = *parent_registry::existing();
  all.collect();
  linger_pause_ = dropped || all.has_lingering() ? next_collect_pause(linger_pause_) : 0ms;
}

}  // namespace procpool::parent
