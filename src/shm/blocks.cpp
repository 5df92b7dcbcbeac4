#include "shm/blocks.hpp"

#include <algorithm>
#include <bit>
#include <cerrno>
#include <system_error>

#include "os/memfd.hpp"

namespace procpool::shm {
namespace {

constexpr u64 least_block = 256;  // with its header
constexpr u64 growth_step = u64{1} << 20U;
// Free blocks of at least the one size keep at most the other in memory, all together.
constexpr u64 large_block = u64{64} << 10U;
constexpr u64 most_kept = u64{128} << 20U;
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

void checked_file::fail() const {
  throw disowned_file("procpool: descriptor " + std::to_string(fd_) +
                      " belongs to a pool, and was closed by somebody else: close only what you "
                      "have opened (closefrom, close_range)");
}

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
  free_list& list = free_[c];
  block b{0, capacity_of(c), c};
  if (!list.warm.empty()) {
    b.offset = list.warm.back();
    list.warm.pop_back();
    if (b.capacity >= large_block) kept_ -= b.capacity;
    return b;
  }
  if (!list.cold.empty()) {
    b.offset = list.cold.back();
    refill(b);
    list.cold.pop_back();
    return b;
  }
  if (list.blocks == list.warm.capacity() || list.blocks == list.cold.capacity()) {
    list.warm.reserve(2 * list.blocks + 4);
    list.cold.reserve(2 * list.blocks + 4);
  }
  const u64 whole = (b.capacity + header + cache_line - 1) / cache_line * cache_line;
  u64 begin = next_;
  const u64 room = window_bytes - begin % window_bytes;  // partitions begin at a window
  if (whole > room) begin += room;
  back(begin, begin + whole);
  next_ = begin + whole;
  ++list.blocks;
  b.offset = begin + header;
  return b;
}

void block_allocator::refill(const block& b) {
  allocate_pages(file_.get(), b.offset - header, b.offset + b.capacity);
}

void block_allocator::release(block b) noexcept {
  free_list& list = free_[b.size_class];
  const bool large = b.capacity >= large_block;
  if (!large || (b.capacity <= most_kept_block && kept_ + b.capacity <= most_kept)) {
    if (large) kept_ += b.capacity;
    list.warm.push_back(b.offset);
    return;
  }
  try {
    os::punch_hole(file_.get(), b.offset, b.capacity);
  } catch (const disowned_file&) {
    // Whoever needs the file next says so.
  }
  list.cold.push_back(b.offset);
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

std::byte* arena_view::at(u64 offset, u64 bytes) {
  const std::lock_guard lock(mutex_);
  if (offset >= last_begin_ && offset + bytes <= last_begin_ + last_size_) {
    return last_data_ + (offset - last_begin_);
  }
  const u64 begin = window_begin(offset, begin_);
  const u64 need = offset + bytes - begin;
  std::vector<os::mapping>& maps = windows_[begin];
  if (maps.empty() || maps.back().size() < need) {
    const u64 size = std::bit_ceil(std::max(need, window_bytes));
    maps.push_back(os::mapping::shared(file_.get(), begin, size));
    maps.back().exclude_from_fork();
    maps.back().exclude_from_core();
  }
  last_begin_ = begin;
  last_size_ = maps.back().size();
  last_data_ = maps.back().data();
  return last_data_ + (offset - begin);
}

}  // namespace procpool::shm
