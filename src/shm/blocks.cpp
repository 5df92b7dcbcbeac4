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
  if (free_.size() <= c) free_.resize(c + 1);
  block b{0, capacity_of(c), c};
  if (!free_[c].empty()) {
    b.offset = free_[c].back();
    // Its pages were given back on release: they are allocated again here, or the task is told.
    if (b.capacity > window_bytes) allocate_pages(fd_, b.offset, b.offset + b.capacity);
    free_[c].pop_back();
    return b;
  }
  free_[c].reserve(free_[c].size() + 1);
  const u64 whole = (b.capacity + header + cache_line - 1) / cache_line * cache_line;
  u64 begin = next_;
  const u64 room = window_bytes - begin % window_bytes;  // partitions begin at a window
  if (whole > room) begin += room;
  back(begin, begin + whole);
  next_ = begin + whole;
  b.offset = begin + header;
  return b;
}

void block_allocator::release(block b) {
  // Very large blocks give their pages back: keeping them warm would look like a leak.
  if (b.capacity > window_bytes) {
    os::punch_hole(fd_, b.offset, b.capacity);
    // It must be backed again before it is used again.
    if (os::allocate_memfd(fd_, b.offset - header, header) != 0) return;
  }
  free_[b.size_class].push_back(b.offset);
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
  if (step > end && os::allocate_memfd(fd_, from, step - from) == 0) {
    backed_ = step;
    return;
  }
  allocate_pages(fd_, from, end);
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
    maps.push_back(os::mapping::shared(fd_, begin, size));
    maps.back().exclude_from_fork();
    maps.back().exclude_from_core();
  }
  last_begin_ = begin;
  last_size_ = maps.back().size();
  last_data_ = maps.back().data();
  return last_data_ + (offset - begin);
}

}  // namespace procpool::shm
