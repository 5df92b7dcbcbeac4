#include "shm/blocks.hpp"

#include <algorithm>
#include <bit>
#include <cerrno>
#include <new>
#include <system_error>
#include <utility>

#include "os/available_memory.hpp"
#include "os/memfd.hpp"

namespace procpool::shm {
namespace {

constexpr u64 least_block = 256;  // with its header
constexpr u64 growth_step = u64{1} << 20U;
// The most memory that free large blocks keep together. Blocks larger than a window have a limit of
// their own: a small part of the memory that the machine has left.
constexpr u64 most_kept = u64{128} << 20U;
constexpr u64 trim_step = window_bytes;
constexpr u64 header = sizeof(block_header);

u64 window_begin(u64 offset, u64 arena) {
  return arena + (offset - arena) / window_bytes * window_bytes;
}

void allocate_pages(int fd, u64 begin, u64 end) {
  const int failed = os::allocate_memfd(fd, begin, end - begin);
  if (failed == 0) return;
  throw std::system_error(failed, std::generic_category(),
                          "procpool: no shared memory for a value of about " +
                              std::to_string(end - begin) +
                              " bytes: read results, submit fewer at a time, or free memory");
}

}  // namespace

disowned_file::disowned_file(int fd)
    : error("procpool: descriptor " + std::to_string(fd) +
            " belongs to a pool, and was closed by other code: close only what you have opened "
            "(closefrom, close_range)") {}

void checked_file::fail() const { throw disowned_file(fd_); }

// Four classes to each doubling: at most a quarter of a block is unused.
u32 block_allocator::class_of(u64 bytes) {
  const u64 need = std::max(bytes + header, least_block) - 1;
  const auto log = static_cast<u32>(std::bit_width(need)) - 1;
  const auto quarter = static_cast<u32>((need >> (log - 2)) & 3U);
  return (log - 7) * 4 + quarter - 3;
}

u64 block_allocator::capacity_of(u32 size_class) {
  const u32 c = size_class + 3;
  const u64 base = u64{1} << (c / 4 + 7);
  return base + (c % 4 + 1) * (base / 4) - header;
}

block block_allocator::allocate(u64 bytes) {
  const u32 c = class_of(bytes);
  if (free_.size() <= c) free_.resize(std::size_t{c} + 1);
  block b;
  try {
    b = allocate_of(c);
  } catch (const std::system_error&) {
    if (!needs_trim()) throw;
    trim_all();
    b = allocate_of(c);
  }
  if (b.capacity >= large_block) ++large_in_use_;
  return b;
}

block block_allocator::allocate_of(u32 size_class) {
  free_list& list = free_[size_class];
  block b{0, capacity_of(size_class), size_class};
  if (!list.resident.empty()) {
    b.offset = list.resident.back();
    list.resident.pop_back();
    list.unused = std::min(list.unused, list.resident.size());
    if (b.capacity >= large_block) kept_of(b) -= b.capacity;
    return b;
  }
  if (take_trimming(b)) return b;
  if (!list.punched.empty()) {
    b.offset = list.punched.back();
    refill(b);
    list.punched.pop_back();
    return b;
  }
  if (list.blocks == list.resident.capacity() || list.blocks == list.punched.capacity()) {
    list.resident.reserve(2 * list.blocks + 4);
    list.punched.reserve(2 * list.blocks + 4);
  }
  const u64 whole = (b.capacity + header + cache_line - 1) / cache_line * cache_line;
  u64 begin = next_;
  const u64 room = window_bytes - begin % window_bytes;  // partitions are window-aligned
  if (whole > room) begin += room;
  back(begin, begin + whole);
  next_ = begin + whole;
  ++list.blocks;
  b.offset = begin + header;
  return b;
}

bool block_allocator::take_trimming(block& b) {
  const auto it = std::ranges::find(trimming_, b.size_class,
                                    [](const trimming_block& l) { return l.b.size_class; });
  if (it == trimming_.end()) return false;
  if (it->punched_bytes != 0) refill(it->b);
  b = it->b;
  trimming_.erase(it);
  return true;
}

void block_allocator::refill(const block& b) {
  allocate_pages(file_.get(), b.offset - header, b.offset + b.capacity);
}

u64& block_allocator::kept_of(const block& b) {
  return b.capacity > window_bytes ? kept_huge_ : kept_;
}

bool block_allocator::may_keep(const block& b) {
  if (b.capacity < large_block) return true;
  const u64 kept = kept_of(b) + b.capacity;
  return b.capacity > window_bytes ? os::is_little_memory(kept) : kept <= most_kept;
}

void block_allocator::release(block b) noexcept {
  free_list& list = free_[b.size_class];
  if (b.capacity >= large_block) --large_in_use_;
  if (may_keep(b)) {
    if (b.capacity >= large_block) kept_of(b) += b.capacity;
    list.resident.push_back(b.offset);
    return;
  }
  punch(b.offset, b.capacity);
  list.punched.push_back(b.offset);
}

// In the order of their release: the oldest come first.
void block_allocator::start_trim() noexcept {
  for (u32 c = class_of(large_block); c < free_.size(); ++c) {
    free_list& list = free_[c];
    try {
      trimming_.reserve(trimming_.size() + list.unused);
    } catch (const std::bad_alloc&) {
      return;  // the next call tries again
    }
    const auto end = list.resident.begin() + static_cast<std::ptrdiff_t>(list.unused);
    for (auto offset = list.resident.begin(); offset != end; ++offset) {
      const block b{*offset, capacity_of(c), c};
      trimming_.push_back({b});
      kept_of(b) -= b.capacity;
    }
    list.resident.erase(list.resident.begin(), end);
    list.unused = list.resident.size();
  }
}

bool block_allocator::trim_some() noexcept {
  u64 left = trim_step;
  while (!trimming_.empty() && left != 0) {
    trimming_block& l = trimming_.back();
    const u64 piece = std::min(left, l.b.capacity - l.punched_bytes);
    punch(l.b.offset + l.punched_bytes, piece);
    l.punched_bytes += piece;
    left -= piece;
    if (l.punched_bytes < l.b.capacity) continue;
    free_[l.b.size_class].punched.push_back(l.b.offset);
    trimming_.pop_back();
  }
  return !trimming_.empty();
}

void block_allocator::trim_all() noexcept {
  start_trim();  // takes the unused blocks, and marks the rest as unused
  start_trim();  // takes the rest
  while (trim_some()) continue;
}

void block_allocator::punch(u64 offset, u64 bytes) noexcept {
  try {
    os::punch_hole(file_.get(), offset, bytes);
  } catch (const disowned_file&) {
    // The function that needs the file next reports this.
  }
}

void block_allocator::back(u64 begin, u64 end) {
  if (end <= backed_) return;
  if (end > end_) {
    throw std::system_error(EFBIG, std::generic_category(),
                            "procpool: the values of unfinished or unread tasks fill the shared "
                            "region: read results, submit fewer at a time, or raise ulimit -f");
  }
  const u64 from = std::max(begin, backed_);
  const u64 step = std::min(end_, std::max(end, from + growth_step));
  if (step > end && os::allocate_memfd(file_.get(), from, step - from) == 0) {
    backed_ = step;
    return;
  }
  allocate_pages(file_.get(), from, end);
  backed_ = end;
}

bool arena_view::may_be_value(u64 offset, u64 bytes) const noexcept {
  // Memory is allocated in steps of this size anyway, and copying so much takes only a moment.
  if (bytes <= growth_step) return true;
  try {
    return !os::has_unwritten_page(file_.get(), offset, bytes);
  } catch (const disowned_file&) {
    return true;  // not known; the mapping is still valid
  }
}

u64 arena_view::most_bytes() const noexcept {
  try {
    const u64 bytes = os::allocated_bytes(file_.get());
    if (bytes != 0) return bytes;
  } catch (const disowned_file&) {
    // Not known, as above.
  }
  return ~u64{0};
}

std::byte* arena_view::at(u64 offset, u64 bytes) {
  const base::lock_guard lock(mutex_);
  if (offset >= last_begin_ && offset + bytes <= last_begin_ + last_size_) {
    return last_data_ + (offset - last_begin_);
  }
  const u64 begin = window_begin(offset, begin_);
  const u64 need = offset + bytes - begin;
  std::vector<os::mapping>& maps = windows_[begin];
  if (maps.empty() || maps.back().size() < need) {
    const u64 size = std::bit_ceil(std::max(need, window_bytes));
    os::mapping map = os::mapping::try_shared(file_.get(), begin, size);
    if (!map) {
      throw std::system_error(errno, std::generic_category(),
                              "procpool: cannot map " + std::to_string(size) +
                                  " bytes for large arguments or results: free address space, or "
                                  "raise ulimit -v");
    }
    maps.push_back(std::move(map));
    maps.back().exclude_from_fork();
    maps.back().exclude_from_core();
  }
  last_begin_ = begin;
  last_size_ = maps.back().size();
  last_data_ = maps.back().data();
  return last_data_ + (offset - begin);
}

}  // namespace procpool::shm
