// Reads the outcomes of a chunk; detail/task/chunk_outcomes.hpp has their format and the writer.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "procpool/detail/task/chunk_outcomes.hpp"

namespace procpool::wire {

inline constexpr char damaged_text[] =
    "the outcome of this task was damaged in shared memory: a task wrote where it must not";

// Throws codec_error(damaged_text).
[[noreturn]] void fail_damaged();

// The outcomes of successive items: one of any kind, or `count` values that lie `size` bytes apart.
struct chunk_part {
  detail::outcome_kind kind = detail::outcome_kind::none;  // value, exception, value_with_objects
  std::uint32_t count = 0;
  const std::byte* data = nullptr;
  std::size_t size = 0;  // of each
};

// Reads untrusted bytes, which may change while it reads: each header is loaded once and checked.
class chunk_reader {
 public:
  chunk_reader(const std::byte* data, std::size_t size, std::uint32_t items)
      : at_(data), left_(size), items_(items) {}

  // False after the last item. Throws codec_error(damaged_text) at impossible bytes: the outcomes
  // after them are unreadable, too.
  bool next(chunk_part& part) {
    if (items_ == 0) return false;
    std::uint64_t header = 0;
    if (left_ < sizeof header) fail_damaged();
    std::memcpy(&header, at_, sizeof header);
    header = detail::loaded_once(header);
    at_ += sizeof header;
    left_ -= sizeof header;
    part = {detail::kind_of(header), 1, at_, detail::record_bytes(header)};
    std::uint64_t length = part.size;
    if (part.kind == detail::outcome_kind::items) {
      part.kind = detail::outcome_kind::value;
      part.size = detail::run_stride(header);
      part.count = detail::run_count(header) == 0 ? items_ : detail::run_count(header);
      length = std::uint64_t{part.count} * part.size;
      if (part.count > items_) fail_damaged();
    } else if (part.kind != detail::outcome_kind::value &&
               part.kind != detail::outcome_kind::exception &&
               part.kind != detail::outcome_kind::value_with_objects) {
      fail_damaged();
    }
    if (length > left_) fail_damaged();
    items_ -= part.count;
    const std::size_t padded = std::min<std::size_t>(left_, (length + 7) / 8 * 8);
    at_ += padded;
    left_ -= padded;
    return true;
  }

 private:
  const std::byte* at_;
  std::size_t left_;
  std::uint32_t items_;
};

}  // namespace procpool::wire
