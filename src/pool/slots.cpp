#include "pool/slots.hpp"

#include <algorithm>
#include <limits>
#include <system_error>
#include <utility>

#include "futures/kept_error.hpp"
#include "os/futex.hpp"
#include "pool/pool.hpp"
#include "procpool/errors.hpp"

namespace procpool::parent {
namespace {

using futures::kept_current_error;
using shm::task_phase;
using shm::u32;
using shm::u64;

constexpr u32 least_growth = 256;
constexpr std::size_t few = 16;
constexpr u32 enough_slots = 16'384;

// The record gets another slot, whose generations are others.
void forget_limit(task_record& r) noexcept {
  r.limited = no_generation;
  // relaxed: changed and read under the mutex, except for a guess in cancel()
  r.overrun.store(no_generation, std::memory_order_relaxed);
}

}  // namespace

slot_store::slot_store(pool& owner, const slot_parts& parts)
    : pool_(owner),
      region_(parts.region),
      view_(parts.view),
      blocks_(parts.blocks),
      table_(parts.table),
      returned_(parts.returned),
      out_of_memory_(parts.out_of_memory),
      lost_slot_(owner) {
  // relaxed: not yet visible to other threads, and never in use
  lost_slot_.references.store(0, std::memory_order_relaxed);
}

std::size_t slot_store::collect_returned() noexcept {
  std::size_t count = 0;
  task_record* r = returned_.take_all();
  while (r != nullptr) {
    task_record* next = r->next;
    if (r->arguments) blocks_.release(std::exchange(r->arguments, {}));
    if (std::exchange(r->damaged, false)) [[unlikely]]
      abandon_slot(*r);
    // relaxed: the exchange in take_all() has acquired it
    if (r->slot.load(std::memory_order_relaxed) != nullptr) {
      r->next = std::exchange(free_, r);
    } else {
      r->next = std::exchange(slotless_, r);
    }
    r = next;
    ++count;
  }
  return count;
}

task_record* slot_store::pop_returned() {
  if (free_ == nullptr && collect_returned() < few && free_ != nullptr) {
    // As many tasks are in flight as there are slots: with more slots, records are returned in
    // bulk.
    if (++scarce_ % few == 0 && region_.allocated_slots() < enough_slots) grow_if_possible();
  }
  return pop_free();
}

// Ignores a lack of memory: the caller has a record in any case.
void slot_store::grow_if_possible() noexcept {
  try {
    grow();
  } catch (const std::exception&) {
    return;
  }
}

bool slot_store::grow() {
  const u32 before = region_.allocated_slots();
  if (before == shm::max_slots) return false;
  const u32 after = std::min(shm::max_slots, before + std::max(least_growth, before / 4));
  // Makes all records before the first slot: memory may run out here, and each slot needs a record.
  u32 spare = 0;
  for (const task_record* r = slotless_; r != nullptr && spare < after - before; r = r->next) {
    ++spare;
  }
  for (; spare < after - before; ++spare) make_record();
  region_.allocate_slots(after);
  // Descending, so that the lowest index is used first.
  for (u32 i = region_.allocated_slots(); i-- > before;) {
    task_record* r = slotless_;
    slotless_ = r->next;
    r->index = i;
    r->generation = 0;
    r->objects_of = ~u64{0};  // this slot's generations start from 0
    r->doubted_word = 0;
    forget_limit(*r);
    r->slot.store(&region_.at(i), std::memory_order_relaxed);
    table_.set(i, *r);
    r->next = std::exchange(free_, r);
  }
  return true;
}

void slot_store::make_record() {
  records_.push_back(std::make_unique<task_record>(pool_));
  task_record* r = records_.back().get();
  // relaxed: not yet visible to other threads
  r->references.store(0, std::memory_order_relaxed);
  r->next = std::exchange(slotless_, r);
}

void slot_store::harvest() {
  allow_saving();
  bool any = false;
  std::exception_ptr failed;
  for (u32 i = 0; i < region_.allocated_slots(); ++i) {
    task_record* r = table_.at(i);
    if (r->items != 0) continue;
    try {
      if (harvest_one(*r, without_memory::leave)) any = true;
    } catch (const std::exception&) {
      // The outcome stays in place; later ones may be smaller.
      failed = std::current_exception();
    }
  }
  if (failed && !any) std::rethrow_exception(failed);
}

// The outcomes of one sweep or harvest together have at most as many bytes as the region; a larger
// sum means damaged lengths.
void slot_store::charge_saving(u64 bytes) {
  if (bytes > may_save_) wire::fail_damaged();
  may_save_ -= bytes;
}

bool slot_store::harvest_one(task_record& r, without_memory what) {
  u64 word = 0;
  if (r.references.load() == 0 || !r.load(word) || !shm::is_resolved(word)) return false;
  // A slot on a done-list is a link of that list.
  if ((word & shm::notify_flag) != 0 && shm::phase_of(word) == shm::task_phase::done &&
      !r.off_list.load()) {
    return false;
  }
  if (slotless_ == nullptr) make_record();  // the next record of the slot
  std::uint32_t unpinned = 0;
  if (!r.pins.compare_exchange_strong(unpinned, harvesting)) return false;
  if (r.references.load() == 0) {
    // The future was destroyed during the checks above.
    r.pins.store(0, std::memory_order_relaxed);
    return false;
  }
  const auto without = [&] {
    if (what == without_memory::give_up) {
      r.error = out_of_memory_;
      return;
    }
    // Threads that have begun to wait meanwhile find the outcome in place. release: as below
    r.pins.fetch_sub(harvesting, std::memory_order_release);
    throw;
  };
  try {
    if (r.names_objects(word)) pool_.take_over_objects(r, word);
    if (r.items != 0) {
      const auto* progress = reinterpret_cast<shm::chunk_progress*>(r.slot.load()->bytes);
      if (shm::phase_of(word) == shm::task_phase::done) {
        std::vector<chunk_piece>& pieces = r.more().pieces;
        pieces.reserve(pieces.size() + 1);
        chunk_piece piece = pool_.copy_items(r, word, progress->progress.load());
        if (piece.items != 0) pieces.push_back(std::move(piece));
        r.error = r.error_of_rest();
      }
    } else {
      // Copied as bytes: decoding an exception runs user code, which is not allowed under the
      // mutex.
      const raw_outcome o = r.find_outcome(word);
      charge_saving(o.size);
      std::vector<std::byte> copy(o.data, o.data + o.size);
      r.error = o.error;
      r.saved = std::move(copy);
      r.saved_exception = o.is_exception;
    }
  } catch (const std::bad_alloc&) {
    without();
  } catch (const std::system_error&) {
    without();  // no address space to map it
  } catch (...) {
    r.error = kept_current_error(out_of_memory_);
  }
  if (shm::phase_of(word) == shm::task_phase::cancelled) r.was_cancelled.store(true);
  r.put_back_result();
  shm::slot& s = *r.slot.load();
  give_slot_away(r);
  // Threads that still sleep on the word find that the record has no slot.
  if ((word & shm::waiter_flag) != 0) os::futex_wake(s.word, std::numeric_limits<int>::max());
  // release: publishes the copy; a thread that finds the mark reads no slot. Added, not stored:
  // threads that wait for the copy have already counted their pins.
  r.pins.fetch_add(harvested - harvesting, std::memory_order_release);
  return true;
}

void slot_store::give_slot_away(task_record& r) noexcept {
  if (r.arguments) blocks_.release(std::exchange(r.arguments, {}));
  task_record* successor = slotless_;
  slotless_ = successor->next;
  successor->index = r.index;
  successor->generation = r.generation;
  successor->objects_of = r.generation;  // the objects of the outcome still there are taken over
  successor->doubted_word = 0;
  forget_limit(*successor);
  successor->slot.store(r.slot.exchange(nullptr), std::memory_order_relaxed);
  table_.set(r.index, *successor);
  successor->next = std::exchange(free_, successor);
}

void slot_store::abandon_slot(task_record& r) noexcept {
  shm::slot* s = r.slot.exchange(nullptr);
  if (s == nullptr) return;
  table_.set(r.index, lost_slot_);
  // No hint matches the slot any more, and a worker that completes its task there continues.
  s->word.store(shm::make_word(0, task_phase::free));
  ++lost_slots_;
}

// All records ever made, less those on a list.
std::size_t slot_store::records_in_use() noexcept {
  collect_returned();
  std::size_t idle = 0;
  for (const task_record* list : {free_, slotless_}) {
    for (; list != nullptr; list = list->next) ++idle;
  }
  return records_.size() - idle;
}

std::size_t slot_store::close() noexcept {
  std::size_t closed = 0;
  for (const task_record* r = returned_.close(); r != nullptr; r = r->next) ++closed;
  return records_in_use() - closed;
}

}  // namespace procpool::parent
