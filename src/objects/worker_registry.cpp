#include "objects/worker_registry.hpp"

#include <cerrno>
#include <new>
#include <system_error>
#include <utility>

#include "objects/object_list.hpp"
#include "procpool/errors.hpp"
#include "runtime/process_role.hpp"

namespace procpool::worker {

using detail::object_access;
using detail::object_ref;
using detail::object_use;
using shm::object_state;
using shm::u32;
using shm::u64;

namespace {

// Mappings without handles that are kept. Each costs page tables, and some kernel memory.
constexpr std::size_t most_idle = 64;

objects* the_one = nullptr;

os::access access_of(object_access a) {
  return a == object_access::read_only ? os::access::read_only : os::access::read_write;
}

}  // namespace

objects& objects_here() { return *the_one; }

void set_objects(objects& o) noexcept {
  the_one = &o;
  shm::set_worker_source(o);
}

objects::place& objects::place_of(u32 id) {
  if (places_.size() <= id) places_.resize(id + 1);
  if (!places_[id]) places_[id] = std::make_unique<place>();
  return *places_[id];
}

// The count in our row, which is ours to write from here on. Throws std::system_error.
std::atomic<u32>& objects::count_of(u32 id) {
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
    // release: allocated before the parent may look
    table_.pages(row_).fetch_or(1U << page, std::memory_order_release);
  }
  return reinterpret_cast<std::atomic<u32>*>(counts_.data())[id];
}

void objects::add(u32 id) {
  // relaxed: the parent hears of it only by what is published later: the entry's word or DONE
  count_of(id).fetch_add(1, std::memory_order_relaxed);
}

// After add(), so the count is there.
void objects::take_off(u32 id) noexcept {
  // release: our last look at the memory, before the parent frees it
  reinterpret_cast<std::atomic<u32>*>(counts_.data())[id].fetch_sub(1, std::memory_order_release);
}

// Counted already; with one handle for the caller.
object_use* objects::begin_use(u32 id, u64 bytes, object_access access) {
  place& p = place_of(id);
  place::own_use& use = p.uses[static_cast<unsigned>(access)];
  map(use, id, bytes, access);
  use.home = this;
  use.access = access;
  use.data = use.map.data();
  use.bytes = bytes;
  use.ref = {id, p.generation};
  use.handles.store(1, std::memory_order_relaxed);
  return &use;
}

void objects::map(place::own_use& use, u32 id, u64 bytes, object_access access) {
  if (use.map.size() >= bytes) return;
  use.map.reset();
  use.map = table_.map(id, bytes, access_of(access));
  if (!use.map) {
    unmap_idle(0);
    use.map = table_.map(id, bytes, access_of(access));
  }
  if (!use.map) shm::throw_cannot_map(errno, bytes);
}

void objects::unmap_idle(std::size_t keep) noexcept {
  while (idle_.size() > keep) {
    const idle_use oldest = idle_.front();
    idle_.pop_front();
    place::own_use& use = places_[oldest.id]->uses[oldest.access];
    use.listed = false;
    if (use.handles.load(std::memory_order_relaxed) == 0) use.map.reset();
  }
}

object_use* objects::create(u64 bytes) {
  table_.check_size(bytes);
  u32 id = 0;
  {
    const std::lock_guard lock(mutex_);
    const auto count_first = [this](u32 candidate) {
      place_of(candidate);
      add(candidate);
      return true;
    };
    // The count comes before the word: when the word is ours, the sweep finds both or none.
    id = table_.claim(row_, count_first, [this](u32 lost) { take_off(lost); });
    if (id == 0) shm::throw_no_objects_left(table_.ids());
    place& p = place_of(id);
    // relaxed: it is ours
    p.generation = shm::object_generation_of(table_.entry(id).word.load(std::memory_order_relaxed));
    p.made_here = true;
    p.noted = 0;
  }
  try {
    table_.allocate(id, bytes);
    // relaxed: the outcome that tells of it comes later
    table_.entry(id).bytes.store(bytes, std::memory_order_relaxed);
    const std::lock_guard lock(mutex_);
    return begin_use(id, bytes, object_access::read_write);
  } catch (...) {
    const std::lock_guard lock(mutex_);
    let_go(id);
    throw;
  }
}

object_use* objects::attach(const object_ref& ref, object_access access) {
  const std::lock_guard lock(mutex_);
  if (ref.id == 0 || ref.id >= table_.allocated()) shm::throw_unknown_object();
  place& p = place_of(ref.id);
  place::own_use& use = p.uses[static_cast<unsigned>(access)];
  if (use.handles.load(std::memory_order_relaxed) != 0) {
    if (p.generation != ref.generation) shm::throw_unknown_object();
    use.handles.fetch_add(1, std::memory_order_relaxed);
    return &use;
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
  add(ref.id);
  try {
    return begin_use(ref.id, bytes, access);
  } catch (...) {
    take_off(ref.id);
    throw;
  }
}

object_use* objects::adopt(const object_ref& ref) {
  object_use* const use = attach(ref, object_access::read_only);
  // release: after our count, before the sender hears that it may let go
  table_.transfers().fetch_add(1, std::memory_order_release);
  return use;
}

void objects::check_lend(const object_use& use) {
  if (use.home != this) {
    throw codec_error(
        "this handle was inherited by a fork, and cannot be sent to a manager: pass it to the task "
        "as an argument");
  }
  const std::lock_guard lock(mutex_);
  if (places_[use.ref.id]->made_here) {
    throw codec_error(
        "a shared object that was made in a task or a manager cannot be sent from there: return it "
        "to the program first, or have the program make it");
  }
}

void objects::drop(object_use& use) noexcept {
  if (runtime::current_role() != runtime::process_role::worker) return;  // a task has forked
  const std::lock_guard lock(mutex_);
  // acquire, release: the looks of all threads before the count goes
  if (use.handles.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
  const u32 id = use.ref.id;
  place::own_use& own = places_[id]->uses[static_cast<unsigned>(use.access)];
  try {
    if (!own.listed) idle_.push_back({id, static_cast<unsigned>(use.access)});
    own.listed = true;
    unmap_idle(most_idle);
  } catch (const std::bad_alloc&) {
    own.map.reset();
  }
  let_go(id);
}

// One count goes, and with the last one what only we know of.
void objects::let_go(u32 id) noexcept {
  const place& p = *places_[id];
  const bool used = p.uses[0].handles.load(std::memory_order_relaxed) != 0 ||
                    p.uses[1].handles.load(std::memory_order_relaxed) != 0;
  if (!p.made_here || used || p.noted != 0) {
    take_off(id);
  } else {
    free(id);
  }
}

void objects::free(u32 id) noexcept {
  place& p = *places_[id];
  p.made_here = false;
  // relaxed: only we write it; the sweep, after our death
  table_.entry(id).word.store(shm::make_object_word(p.generation, object_state::freeing, row_),
                              std::memory_order_relaxed);
  table_.punch(id);
  take_off(id);
  table_.free(id, p.generation);
}

void objects::note(const detail::shared_object& object) {
  const object_use& use = *object.use();
  if (use.home != this) {
    throw codec_error(
        "this handle was inherited by a fork, and cannot be a result: pass it to the task as an "
        "argument");
  }
  const std::lock_guard lock(mutex_);
  noted_.reserve(noted_.size() + 1);
  add(use.ref.id);
  noted_.push_back(use.ref);
  ++places_[use.ref.id]->noted;
}

void objects::forget_noted() noexcept {
  const std::lock_guard lock(mutex_);
  for (const object_ref& ref : noted_) {
    --places_[ref.id]->noted;
    let_go(ref.id);
  }
  noted_.clear();
}

void objects::append_noted(detail::wire_writer& out) {
  wire::append_objects(out, noted_);
  const std::lock_guard lock(mutex_);
  for (const object_ref& ref : noted_) {
    // From here on the parent may know of it, and frees it.
    places_[ref.id]->noted = 0;
    places_[ref.id]->made_here = false;
  }
  noted_.clear();
}

}  // namespace procpool::worker
