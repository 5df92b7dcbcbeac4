#include "objects/object_table.hpp"

#include <algorithm>
#include <bit>
#include <cerrno>
#include <string>
#include <system_error>

#include "os/available_memory.hpp"
#include "os/memfd.hpp"
#include "procpool/errors.hpp"

namespace procpool::shm {
namespace {

constexpr u32 entries_at_once = 256;  // one page

constexpr u64 round_up(u64 v, u64 to) { return (v + to - 1) / to * to; }

[[noreturn]] void fail(int error, const std::string& what) {
  throw std::system_error(error, std::generic_category(), "procpool: " + what);
}

}  // namespace

object_table::object_table(int fd, process_page& page)
    : file_(fd),
      plan_(object_plan::of(page.objects.ids, page.objects.rows, page.objects.stride)),
      page_(&page) {
  auto* begin = reinterpret_cast<std::byte*>(&page);
  entries_ = reinterpret_cast<object_entry*>(begin + plan_.entries_offset);
  heads_ = reinterpret_cast<row_head*>(begin + plan_.heads_offset);
}

u32 object_table::pages_of_row() const noexcept {
  return static_cast<u32>(plan_.row_stride / os::page_size());
}
u32 object_table::page_of_count(u32 id) const noexcept {
  return static_cast<u32>(id * sizeof(u32) / os::page_size());
}

u32 object_table::allocated() const noexcept {
  // acquire: the entries were allocated before the number was raised
  return std::min(page_->objects.allocated.load(std::memory_order_acquire), plan_.ids);
}

bool object_table::is_used(const detail::object_ref& ref) const noexcept {
  if (ref.id == 0 || ref.id >= allocated()) return false;
  // relaxed: no other memory is read on account of it
  const u64 word = entry(ref.id).word.load(std::memory_order_relaxed);
  return object_state_of(word) == object_state::used &&
         object_generation_of(word) == ref.generation;
}

void object_table::free(u32 id, u32 generation) noexcept {
  // release: pages and count are gone before a process claims the entry
  entry(id).word.store(make_object_word(generation, object_state::free, 0),
                       std::memory_order_release);
  // relaxed: a hint
  u32 lowest = lowest_free_.load(std::memory_order_relaxed);
  while (id < lowest &&
         !lowest_free_.compare_exchange_weak(lowest, id, std::memory_order_relaxed)) {
  }
}

void object_table::extend(u32 count) const {
  count = std::min(plan_.ids, (count + entries_at_once - 1) / entries_at_once * entries_at_once);
  u32 known = allocated();
  const u64 from = plan_.entries_offset + u64{known} * sizeof(object_entry);
  const u64 to = plan_.entries_offset + u64{count} * sizeof(object_entry);
  if (to <= from) return;
  if (int error = os::allocate_memfd(file_.get(), from, to - from); error != 0) {
    fail(error, "no memory for the table of shared objects");
  }
  std::atomic<u32>& allocated = page_->objects.allocated;
  // release: pairs with the load in allocated() of other processes
  while (known < count && !allocated.compare_exchange_weak(known, count, std::memory_order_release,
                                                           std::memory_order_relaxed)) {
  }
}

u64 object_table::most_bytes() const noexcept {
  try {
    const u64 bytes = os::allocated_bytes(file_.get());
    return bytes == 0 ? plan_.stride : std::min(bytes, plan_.stride);
  } catch (const disowned_file&) {
    return plan_.stride;  // the size is not known
  }
}

void object_table::check_size(u64 bytes) const {
  if (plan_.ids == 0) {
    fail(EFBIG, "no room for shared objects: the file size limit is too low: raise ulimit -f");
  }
  if (bytes > plan_.stride) {
    fail(EFBIG, "a shared object of " + std::to_string(bytes) + " bytes: none can be larger than " +
                    std::to_string(plan_.stride) +
                    " bytes: share several, or raise ulimit -f before the program starts");
  }
}

void object_table::allocate(u32 id, u64 bytes) const {
  const u64 begin = plan_.ranges_offset + id * plan_.stride;
  // Checked first: the kernel commits memory until it has to kill a process for lack of it.
  int error = os::reserve_estimate(bytes) ? 0 : ENOMEM;
  // Writes through spans of an earlier, freed object may have left pages here.
  if (error == 0 && !os::punch_hole(file_.get(), begin, plan_.stride)) error = errno;
  if (error == 0) error = os::allocate_memfd(file_.get(), begin, bytes);
  if (error == 0) return;
  os::punch_hole(file_.get(), begin, plan_.stride);
  const std::string size = std::to_string(bytes) + " bytes";
  if (error == EFBIG) {
    fail(error, "no shared object of " + size +
                    " under this file size limit: raise ulimit -f before the program starts");
  }
  fail(error, "no shared memory for an object of " + size +
                  ": destroy handles and read results that hold some, or free memory");
}

bool object_table::punch(u32 id) const noexcept {
  try {
    return os::punch_hole(file_.get(), plan_.ranges_offset + id * plan_.stride, plan_.stride);
  } catch (const disowned_file&) {
    return false;  // the next function that needs the file reports it
  }
}

os::mapping object_table::map(u32 id, u64 bytes, os::access mode) const noexcept {
  try {
    os::mapping m = os::mapping::try_shared(file_.get(), plan_.ranges_offset + id * plan_.stride,
                                            round_up(bytes, os::page_size()), mode);
    if (m) m.exclude_from_core();
    return m;
  } catch (const disowned_file&) {
    errno = EBADF;
    return {};
  }
}

void object_table::allocate_heads() const {
  const u64 bytes = plan_.fixed_bytes - plan_.heads_offset;
  if (int error = os::allocate_memfd(file_.get(), plan_.heads_offset, bytes); error != 0) {
    fail(error, "no memory for the table of shared objects");
  }
}

os::mapping object_table::map_row(u32 row) const noexcept {
  try {
    os::mapping m = os::mapping::try_shared(
        file_.get(), plan_.counts_offset + row * plan_.row_stride, plan_.row_stride);
    // A process that a task forks must not change counts.
    if (m) m.exclude_from_fork();
    if (m) m.exclude_from_core();
    return m;
  } catch (const disowned_file&) {
    errno = EBADF;
    return {};
  }
}

int object_table::allocate_row_page(u32 row, u32 page) const noexcept {
  try {
    const u64 size = os::page_size();
    return os::allocate_memfd(file_.get(),
                              plan_.counts_offset + row * plan_.row_stride + page * size, size);
  } catch (const disowned_file&) {
    return EBADF;
  }
}

void object_table::clear_row(u32 row) const noexcept {
  try {
    os::punch_hole(file_.get(), plan_.counts_offset + row * plan_.row_stride, plan_.row_stride);
  } catch (const disowned_file&) {
    // The pool that notices the closed file reports it.
  }
  heads_[row].pages.store(0, std::memory_order_relaxed);  // its worker does not run
}

void throw_no_objects_left(u32 ids) {
  fail(ENOSPC, "all " + std::to_string(ids - 1) +
                   " shared objects that a process can have are in use: destroy handles and read "
                   "results that hold some, or put more data into each");
}

void throw_unknown_object() {
  throw codec_error("this handle names no shared object: it was damaged on its way");
}

void throw_cannot_map(int error, u64 bytes) {
  fail(error, "cannot map a shared object of " + std::to_string(bytes) +
                  " bytes: free address space, or raise ulimit -v");
}

}  // namespace procpool::shm
