#include "objects/worker_registry.hpp"

#include <atomic>
#include <cerrno>
#include <new>
#include <system_error>
#include <utility>

#include "objects/object_list.hpp"
#include "procpool/errors.hpp"
#include "runtime/process_role.hpp"

namespace procpool::worker {

using detail::object_access;
using detail::object_mapping;
using detail::object_ref;
using shm::object_state;
using shm::u32;
using shm::u64;

namespace {

// How many mappings without handles are kept. Each costs page tables and some kernel memory.
constexpr std::size_t most_idle = 64;

constinit std::atomic<worker_registry*> the_one{nullptr};

os::access access_of(object_access a) {
  return a == object_access::read_only ? os::access::read_only : os::access::read_write;
}

}  // namespace

// acquire, release: the registry's content comes with the pointer
worker_registry* worker_registry::existing() noexcept {
  return the_one.load(std::memory_order_acquire);
}
void worker_registry::set_instance(worker_registry& registry) noexcept {
  the_one.store(&registry, std::memory_order_release);
}

worker_registry::place& worker_registry::place_of(u32 id) {
  if (places_.size() <= id) places_.resize(id + 1);
  if (!places_[id]) places_[id] = std::make_unique<place>();
  return *places_[id];
}

// The count in this worker's row, with its memory allocated. Throws std::system_error.
std::atomic<u32>& worker_registry::count_of(u32 id) {
  if (row_ == 0) {
    throw std::system_error(ENOSPC, std::generic_category(),
                            "procpool: this worker was started without room for shared objects: "
                            "free memory, or have fewer workers");
  }
  if (!counts_) {
    counts_ = table_.map_row(row_);
    if (!counts_) shm::throw_cannot_map(errno, table_.pages_of_row() * os::page_size());
  }
  const u32 page = table_.page_of_count(id);
  if ((pages_ >> page & 1U) == 0) {
    if (const int error = table_.allocate_row_page(row_, page); error != 0) {
      throw std::system_error(error, std::generic_category(),
                              "procpool: no memory to count a shared object");
    }
    pages_ |= 1U << page;
    // release: allocated before the parent may read it
    table_.pages(row_).fetch_or(1U << page, std::memory_order_release);
  }
  return reinterpret_cast<std::atomic<u32>*>(counts_.data())[id];
}

void worker_registry::retain_count(u32 id) {
  // relaxed: a later publication tells the parent of it: the entry's word or DONE
  count_of(id).fetch_add(1, std::memory_order_relaxed);
}

// Only after retain_count(), so the count has memory.
void worker_registry::release_count(u32 id) noexcept {
  // release: this worker's last access to the memory comes before the parent frees it
  reinterpret_cast<std::atomic<u32>*>(counts_.data())[id].fetch_sub(1, std::memory_order_release);
}

// The caller has raised the count; the mapping gets one handle for the caller.
object_mapping* worker_registry::begin_mapping(u32 id, u64 bytes, object_access access) {
  place& p = place_of(id);
  place::own_mapping& mapping = p.mappings[static_cast<unsigned>(access)];
  map(mapping, id, bytes, access);
  mapping.owner = this;
  mapping.access = access;
  mapping.data = mapping.memory.data();
  mapping.bytes = bytes;
  mapping.ref = {id, p.generation};
  mapping.handles.store(1, std::memory_order_relaxed);
  return &mapping;
}

void worker_registry::map(place::own_mapping& mapping, u32 id, u64 bytes, object_access access) {
  if (mapping.memory.size() >= bytes) return;
  mapping.memory.reset();
  mapping.memory = table_.map(id, bytes, access_of(access));
  if (!mapping.memory) {
    unmap_idle(0);
    mapping.memory = table_.map(id, bytes, access_of(access));
  }
  if (!mapping.memory) shm::throw_cannot_map(errno, bytes);
}

void worker_registry::unmap_idle(std::size_t keep) noexcept {
  while (idle_.size() > keep) {
    const idle_mapping oldest = idle_.front();
    idle_.pop_front();
    place::own_mapping& mapping = places_[oldest.id]->mappings[oldest.access];
    mapping.listed = false;
    if (mapping.handles.load(std::memory_order_relaxed) == 0) mapping.memory.reset();
  }
}

object_mapping* worker_registry::create(u64 bytes) {
  table_.check_size(bytes);
  u32 id = 0;
  {
    const base::lock_guard lock(mutex_);
    const auto count_first = [this](u32 candidate) {
      base::assert_held(mutex_);
      place_of(candidate);
      retain_count(candidate);
      return true;
    };
    // The count comes before the word: a sweep that finds the word also finds the count.
    id = table_.claim(row_, count_first, [this](u32 lost) {
      base::assert_held(mutex_);
      release_count(lost);
    });
    if (id == 0) shm::throw_no_objects_left(table_.ids());
    place& p = place_of(id);
    // relaxed: the entry belongs to this worker
    p.generation = shm::object_generation_of(table_.entry(id).word.load(std::memory_order_relaxed));
    p.made_here = true;
    p.noted = 0;
  }
  try {
    table_.allocate(id, bytes);
    // relaxed: the outcome that names the object is published later
    table_.entry(id).bytes.store(bytes, std::memory_order_relaxed);
    const base::lock_guard lock(mutex_);
    return begin_mapping(id, bytes, object_access::read_write);
  } catch (...) {
    const base::lock_guard lock(mutex_);
    release_or_free(id);
    throw;
  }
}

object_mapping* worker_registry::attach(const object_ref& ref, object_access access) {
  const base::lock_guard lock(mutex_);
  if (ref.id == 0 || ref.id >= table_.allocated()) shm::throw_unknown_object();
  place& p = place_of(ref.id);
  place::own_mapping& mapping = p.mappings[static_cast<unsigned>(access)];
  if (mapping.handles.load(std::memory_order_relaxed) != 0) {
    if (p.generation != ref.generation) shm::throw_unknown_object();
    mapping.handles.fetch_add(1, std::memory_order_relaxed);
    return &mapping;
  }
  const shm::object_entry& e = table_.entry(ref.id);
  // relaxed: the task that brought the handle was acquired
  const u64 word = e.word.load(std::memory_order_relaxed);
  const u64 bytes = e.bytes.load(std::memory_order_relaxed);
  if (shm::object_state_of(word) != object_state::used || bytes == 0 || bytes > table_.stride() ||
      shm::object_generation_of(word) != ref.generation) {
    shm::throw_unknown_object();
  }
  if (std::exchange(p.generation, ref.generation) != ref.generation) p.made_here = false;
  retain_count(ref.id);
  try {
    return begin_mapping(ref.id, bytes, access);
  } catch (...) {
    release_count(ref.id);
    throw;
  }
}

object_mapping* worker_registry::adopt(const object_ref& ref) {
  object_mapping* const mapping = attach(ref, object_access::read_only);
  // release: after this worker's count, before the sender learns that it may release its own
  table_.transfers().fetch_add(1, std::memory_order_release);
  return mapping;
}

void worker_registry::check_sendable(const object_mapping& mapping) {
  if (mapping.owner != this) {
    throw codec_error(
        "this handle was inherited by a fork, and cannot be sent to a manager: pass it to the task "
        "as an argument");
  }
  const base::lock_guard lock(mutex_);
  if (places_[mapping.ref.id]->made_here) {
    throw codec_error(
        "a shared object that was made in a task or a manager cannot be sent from there: return it "
        "to the program first, or have the program make it");
  }
}

void worker_registry::release(object_mapping& mapping) noexcept {
  if (runtime::current_role() != runtime::process_role::worker) return;  // a task has forked
  const base::lock_guard lock(mutex_);
  // acquire, release: all threads' accesses come before the count is lowered
  if (mapping.handles.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
  const u32 id = mapping.ref.id;
  place::own_mapping& own = places_[id]->mappings[static_cast<unsigned>(mapping.access)];
  try {
    if (!own.listed) idle_.push_back({id, static_cast<unsigned>(mapping.access)});
    own.listed = true;
    unmap_idle(most_idle);
  } catch (const std::bad_alloc&) {
    own.memory.reset();
  }
  release_or_free(id);
}

// Lowers the count, or, with the last count, frees an object that only this worker knows.
void worker_registry::release_or_free(u32 id) noexcept {
  const place& p = *places_[id];
  const bool used = p.mappings[0].handles.load(std::memory_order_relaxed) != 0 ||
                    p.mappings[1].handles.load(std::memory_order_relaxed) != 0;
  if (!p.made_here || used || p.noted != 0) {
    release_count(id);
  } else {
    free(id);
  }
}

void worker_registry::free(u32 id) noexcept {
  place& p = *places_[id];
  p.made_here = false;
  // relaxed: only this worker writes it, and the sweep after its death
  table_.entry(id).word.store(shm::make_object_word(p.generation, object_state::freeing, row_),
                              std::memory_order_relaxed);
  table_.punch(id);
  release_count(id);
  table_.free(id, p.generation);
}

void worker_registry::note(const detail::shared_object& object) {
  const object_mapping& mapping = *object.mapping();
  if (mapping.owner != this) {
    throw codec_error(
        "this handle was inherited by a fork, and cannot be a result: pass it to the task as an "
        "argument");
  }
  const base::lock_guard lock(mutex_);
  noted_.reserve(noted_.size() + 1);
  retain_count(mapping.ref.id);
  noted_.push_back(mapping.ref);
  ++places_[mapping.ref.id]->noted;
}

void worker_registry::forget_noted() noexcept {
  const base::lock_guard lock(mutex_);
  for (const object_ref& ref : noted_) {
    --places_[ref.id]->noted;
    release_or_free(ref.id);
  }
  noted_.clear();
}

void worker_registry::append_noted(detail::wire_writer& out) {
  wire::append_objects(out, noted_);
  const base::lock_guard lock(mutex_);
  for (const object_ref& ref : noted_) {
    // From here on the parent may know the object, and frees it.
    places_[ref.id]->noted = 0;
    places_[ref.id]->made_here = false;
  }
  noted_.clear();
}

}  // namespace procpool::worker
