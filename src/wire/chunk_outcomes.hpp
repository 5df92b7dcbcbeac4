// Reads the outcomes of a chunk; detail/task/chunk_outcomes.hpp has their format and the writer.
#pragma once

#include <cstddef>
#include <cstdint>

#include "procpool/detail/task/chunk_outcomes.hpp"

namespace procpool::wire {

inline constexpr char damaged_text[] =
    "the outcome of this task was damaged in shared memory: a task wrote where it must not";

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
  bool next(chunk_part& part);

 private:
  const std::byte* at_;
  std::size_t left_;
  std::uint32_t items_;
};

}  // namespace procpool::wire
