// The offsets of the shared objects in the file of the process page. objects/object_table.hpp
// explains the parts and which process changes each; the process page needs their sizes when it is
// created.
#pragma once

#include <atomic>
#include <type_traits>

#include "shm/layout.hpp"

namespace procpool::shm {

struct object_entry {
  std::atomic<u64> word;
  std::atomic<u64> bytes;  // stored before any other process learns of the object
};
static_assert(sizeof(object_entry) == 16 && std::is_standard_layout_v<object_entry>);

// Has one bit for each allocated page of the row's counts.
struct row_head {
  std::atomic<u32> pages;
};
static_assert(sizeof(row_head) == 4);

// The offsets of all parts, computed from the sizes in the process page.
struct object_plan {
  u32 ids = 0, rows = 0;
  u64 stride = 0;
  u64 entries_offset = 0, heads_offset = 0;
  u64 fixed_bytes = 0;  // page, entries and heads
  u64 counts_offset = 0, row_stride = 0;
  u64 ranges_offset = 0, file_size = 0;

  static object_plan of(u32 ids, u32 rows, u64 stride);
  // The plan of a new file with at most this size. Id 0 and row 0 stand for none.
  static object_plan make(u64 file_size_limit);
};

}  // namespace procpool::shm
