#include "objects/parent_registry.hpp"

#include <algorithm>
#include <cerrno>
#include <new>
#include <utility>

#include "os/event_fd.hpp"
#include "procpool/errors.hpp"
#include "runtime/process_role.hpp"

namespace procpool::parent {

using detail::object_mapping;
using detail::object_ref;
using shm::object_state;
using shm::u32;
using shm::u64;

namespace {

constexpr u32 parent_row = 0;
constinit base::per_process<parent_registry> all_objects;

}  // namespace

parent_registry& parent_registry::instance() { return all_objects.get(); }
parent_registry* parent_registry::existing() noexcept { return all_objects.existing(); }

bool parent_registry::may_live(const object_ref& ref) noexcept {
  // An object of the process from which this one was forked may have the same id.
  return all_objects.latest() == nullptr ||
         all_objects.holds_for_any([&](const parent_registry& o) { return o.is_used(ref); });
}

bool parent_registry::any_made() noexcept {
  const parent_registry* o = existing();
  return o != nullptr && o->table_.allocated() != 0;
}

parent_registry::parent_registry() : object_registry(shm::parent_page_fd(), shm::parent_page()) {
  runtime::install_fork_handlers();
}

void parent_registry::grow_entries(u32 ids) {
  if (entries_.size() >= ids) return;
  lingering_.reserve(ids);  // so that adding to the list never fails
  entries_.resize(ids);
}

// Called under the mutex. 0: no id is free.
u32 parent_registry::claim() {
  const auto may_take = [this](u32 id) {
    base::assert_held(mutex_);
    return id >= entries_.size() || !entries_[id].known;
  };
  const u32 id = table_.claim(parent_row, may_take, [](u32) {});
  if (id == 0) return 0;
  try {
    grow_entries(table_.allocated());
  } catch (...) {
    finish_free(id);
    throw;
  }
  entry& e = entries_[id];
  e.known = true;
  e.generation = shm::object_generation_of(table_.entry(id).word.load());
  e.bytes = 0;  // not allocated yet
  return id;
}

object_mapping* parent_registry::create(u64 bytes) {
  table_.check_size(bytes);
  collect();
  u32 id = 0;
  {
    const base::lock_guard lock(mutex_);
    id = claim();
  }
  if (id == 0) shm::throw_no_objects_left(table_.ids());
  try {
    // Not under the mutex: finding and clearing so many pages may take long.
    table_.allocate(id, bytes);
    os::mapping map = table_.map(id, bytes, os::access::read_write);
    if (!map) shm::throw_cannot_map(errno, bytes);
    const base::lock_guard lock(mutex_);
    entries_[id].bytes = bytes;
    // relaxed: workers learn of it through a task
    table_.entry(id).bytes.store(bytes, std::memory_order_relaxed);
    own_mapping& mapping = mapping_of(id);
    mapping.memory = std::move(map);
    mapping.data = mapping.memory.data();
    // relaxed: counts leave 0 under the mutex, and reach 0 with acquire and release
    mapping.handles.fetch_add(1, std::memory_order_relaxed);
    return &mapping;
  } catch (...) {
    {
      const base::lock_guard lock(mutex_);
      entries_[id].known = false;
    }
    finish_free(id);
    throw;
  }
}

// Called under the mutex: the existing mapping, or a new one without handles and memory.
parent_registry::own_mapping& parent_registry::mapping_of(u32 id) {
  entry& e = entries_[id];
  if (!e.mapping) {
    e.mapping = std::make_unique<own_mapping>();
    e.mapping->owner = this;
    e.mapping->ref = {id, e.generation};
    e.mapping->bytes = e.bytes;
    if (std::exchange(e.lingering, false)) std::erase(lingering_, id);
  }
  return *e.mapping;
}

object_mapping* parent_registry::attach(const object_ref& ref, detail::object_access access) {
  const base::lock_guard lock(mutex_);
  static_cast<void>(access);  // in the parent one mapping serves both kinds of access
  if (ref.id >= entries_.size()) shm::throw_unknown_object();
  entry& e = entries_[ref.id];
  if (!e.mapping || e.generation != ref.generation) shm::throw_unknown_object();
  if (!e.mapping->memory) {
    e.mapping->memory = table_.map(ref.id, e.bytes, os::access::read_write);
    if (!e.mapping->memory) shm::throw_cannot_map(errno, e.bytes);
    e.mapping->data = e.mapping->memory.data();
  }
  // relaxed: as in create()
  e.mapping->handles.fetch_add(1, std::memory_order_relaxed);
  return e.mapping.get();
}

object_mapping* parent_registry::adopt(const object_ref& ref) {
  const base::lock_guard lock(mutex_);
  if (!is_plausible(ref)) shm::throw_unknown_object();
  own_mapping& mapping = mapping_of(ref.id);  // mapped when a handle is decoded
  mapping.handles.fetch_add(1, std::memory_order_relaxed);
  return &mapping;
}

void parent_registry::check_sendable(const object_mapping& mapping) { static_cast<void>(mapping); }

void parent_registry::release(object_mapping& mapping) noexcept {
  if (!home_.is_here()) return;  // in a forked copy: only the parent's handles count
  base::unique_lock lock(mutex_);
  // acquire, release: all threads' last accesses come before the memory is freed
  if (mapping.handles.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
  const u32 id = mapping.ref.id;
  entry& e = entries_[id];
  const std::unique_ptr<own_mapping> gone = std::move(e.mapping);
  const bool free = begin_free(id);
  lock.unlock();
  gone->memory.reset();
  if (free) finish_free(id);
}

// True if no process holds the object, and the parent may free it. Otherwise it lingers.
bool parent_registry::begin_free(u32 id) noexcept {
  entry& e = entries_[id];
  if (anybody_holds(id)) {
    if (!std::exchange(e.lingering, true)) {
      lingering_.push_back(id);
      // Wakes the supervisors that still run.
      for (os::wake_socket* waker : wakers_) waker->signal();
    }
    return false;
  }
  e.known = false;
  // relaxed: only the expected value of the CAS
  u64 word = table_.entry(id).word.load(std::memory_order_relaxed);
  if (shm::object_generation_of(word) != e.generation) return false;  // the entry was damaged
  // acq_rel: after the last subtraction from a count, before the pages go
  return table_.entry(id).word.compare_exchange_strong(
      word, shm::make_object_word(e.generation, object_state::freeing, parent_row),
      std::memory_order_acq_rel);
}

void parent_registry::finish_free(u32 id) noexcept {
  table_.punch(id);
  // relaxed: no other process changes a word in state FREEING
  const u64 word = table_.entry(id).word.load(std::memory_order_relaxed);
  table_.free(id, shm::object_generation_of(word));
}

// The count, or null if there certainly is none. The parent allocates the page itself once more:
// the head that marks it as allocated is written by others.
std::atomic<u32>* parent_registry::count_of(u32 row, u32 id) noexcept {
  row_state& r = rows_[row];
  const u32 page = table_.page_of_count(id);
  // acquire: the worker's allocation, and its counting there before
  if ((table_.pages(row).load(std::memory_order_acquire) >> page & 1U) == 0) return nullptr;
  if (!r.counts) r.counts = table_.map_row(row);
  if (!r.counts) return nullptr;
  if ((r.pages >> page & 1U) == 0) {
    if (table_.allocate_row_page(row, page) != 0) return nullptr;
    r.pages |= 1U << page;
  }
  return reinterpret_cast<std::atomic<u32>*>(r.counts.data()) + id;
}

bool parent_registry::anybody_holds(u32 id) noexcept {
  // acquire: counts raised before a transfer are seen below
  const u32 transfers = table_.transfers().load(std::memory_order_acquire);
  const bool held = std::any_of(taken_rows_.begin(), taken_rows_.end(), [&](u32 row) {
    base::assert_held(mutex_);
    const std::atomic<u32>* count = count_of(row, id);
    if (count == nullptr) {
      // The count cannot be read for now: the worker may hold the object.
      return (table_.pages(row).load(std::memory_order_relaxed) >> table_.page_of_count(id) & 1U) !=
             0;
    }
    // acquire: the worker's last access to the memory
    return count->load(std::memory_order_acquire) != 0;
  });
  // relaxed, after the acquires above: a count seen at 0 was lowered after its transfer was counted
  return held || table_.transfers().load(std::memory_order_relaxed) != transfers;
}

u32 parent_registry::acquire_row() noexcept {
  try {
    const base::lock_guard lock(mutex_);
    if (table_.rows() == 0) return 0;
    if (rows_.empty()) {
      table_.allocate_heads();
      rows_.resize(1);  // row 0 belongs to no worker
    }
    u32 row = 1;
    while (row < rows_.size() && rows_[row].taken) ++row;
    if (row >= table_.rows()) return 0;
    taken_rows_.reserve(taken_rows_.size() + 1);
    if (row == rows_.size()) rows_.emplace_back();
    rows_[row].taken = true;
    taken_rows_.push_back(row);
    return row;
  } catch (const std::exception&) {
    return 0;  // no memory or no file: functions that need the row report it
  }
}

void parent_registry::put_back_row(u32 row) noexcept {
  if (row == 0 || !home_.is_here()) return;
  {
    const base::lock_guard lock(mutex_);
    row_state& r = rows_[row];
    if (!r.taken) return;
    // relaxed: the worker is dead
    const bool used = table_.pages(row).load(std::memory_order_relaxed) != 0;
    r.counts.reset();
    r.pages = 0;
    // Always: the worker may have died between allocating a page and marking it.
    table_.clear_row(row);
    if (!used) {
      r.taken = false;
      std::erase(taken_rows_, row);
      return;
    }
  }
  for (u32 id = next_unreported(row, 1); id != 0; id = next_unreported(row, id + 1))
    finish_free(id);
  {
    const base::lock_guard lock(mutex_);
    rows_[row].taken = false;
    std::erase(taken_rows_, row);
  }
  collect();
}

// The next object that the dead worker had made and never handed over; its word becomes FREEING.
u32 parent_registry::next_unreported(u32 row, u32 from) noexcept {
  const base::lock_guard lock(mutex_);
  for (u32 id = from; id < table_.allocated(); ++id) {
    if (id < entries_.size() && entries_[id].known) continue;
    // acquire: what the dead worker stored before the word
    u64 word = table_.entry(id).word.load(std::memory_order_acquire);
    if (shm::object_state_of(word) == object_state::free || shm::object_row_of(word) != row)
      continue;
    const u64 freeing =
        shm::make_object_word(shm::object_generation_of(word), object_state::freeing, parent_row);
    // acq_rel: as in begin_free
    if (table_.entry(id).word.compare_exchange_strong(word, freeing, std::memory_order_acq_rel)) {
      return id;
    }
  }
  return 0;
}

// Of an object that the parent knows, it trusts only its own data.
bool parent_registry::is_plausible(const object_ref& ref) {
  if (ref.id == 0 || ref.id >= table_.allocated()) return false;
  grow_entries(table_.allocated());
  entry& e = entries_[ref.id];
  if (e.known) return e.generation == ref.generation && e.bytes != 0;
  const shm::object_entry& shared = table_.entry(ref.id);
  // acquire, relaxed: the outcome that names the object was acquired, and both values are checked
  const u64 word = shared.word.load(std::memory_order_acquire);
  const u64 bytes = shared.bytes.load(std::memory_order_relaxed);
  if (shm::object_state_of(word) != object_state::used) return false;
  if (shm::object_generation_of(word) != ref.generation) return false;
  if (bytes == 0 || bytes > table_.most_bytes()) return false;
  e.known = true;
  e.generation = ref.generation;
  e.bytes = bytes;
  return true;
}

void parent_registry::take_over(u32 row, const wire::object_list& list, object_refs& out) {
  const base::lock_guard lock(mutex_);
  out.reserve(out.size() + list.count());
  for (u32 i = 0; i < list.count(); ++i) {
    const object_ref ref = list.at(i);
    if (!is_plausible(ref)) continue;
    own_mapping& mapping = mapping_of(ref.id);
    // relaxed: as in create()
    mapping.handles.fetch_add(1, std::memory_order_relaxed);
    out.emplace_back(&mapping);
    if (row == 0 || row >= rows_.size()) continue;
    std::atomic<u32>* count = count_of(row, ref.id);
    if (count == nullptr) continue;  // it is cleared with the worker's row
    u32 n = count->load(std::memory_order_relaxed);
    // relaxed: what the worker did before became visible with its outcome
    while (n != 0 && !count->compare_exchange_weak(n, n - 1, std::memory_order_relaxed)) {
    }
  }
}

void parent_registry::add_waker(os::wake_socket& waker) {
  const base::lock_guard lock(mutex_);
  wakers_.push_back(&waker);
}

void parent_registry::remove_waker(os::wake_socket& waker) noexcept {
  const base::lock_guard lock(mutex_);
  std::erase(wakers_, &waker);
}

bool parent_registry::has_lingering() noexcept {
  const base::lock_guard lock(mutex_);
  return !lingering_.empty();
}

void parent_registry::collect() noexcept {
  std::size_t looked_at = 0;
  for (;;) {
    u32 id = 0;
    {
      const base::lock_guard lock(mutex_);
      while (looked_at < lingering_.size() && anybody_holds(lingering_[looked_at])) ++looked_at;
      if (looked_at >= lingering_.size()) return;
      id = lingering_[looked_at];
      lingering_[looked_at] = lingering_.back();
      lingering_.pop_back();
      entries_[id].lingering = false;
      if (!begin_free(id)) continue;
    }
    finish_free(id);
  }
}

worker_rows::~worker_rows() {
  for (const u32 row : rows_) {
    if (row != 0) parent_registry::instance().put_back_row(row);
  }
}

}  // namespace procpool::parent
