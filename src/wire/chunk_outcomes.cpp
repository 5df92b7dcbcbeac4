#include "wire/chunk_outcomes.hpp"

#include <algorithm>
#include <cstring>

#include "procpool/errors.hpp"

namespace procpool::wire {

using detail::outcome_kind;

bool chunk_reader::next(chunk_part& part) {
  if (items_ == 0) return false;
  std::uint64_t header = 0;
  if (left_ < sizeof header) throw codec_error(damaged_text);
  std::memcpy(&header, at_, sizeof header);
  header = detail::loaded_once(header);
  at_ += sizeof header;
  left_ -= sizeof header;
  part = {detail::kind_of(header), 1, at_, detail::record_bytes(header)};
  std::uint64_t length = part.size;
  switch (part.kind) {
    case outcome_kind::value:
    case outcome_kind::exception:
    case outcome_kind::value_with_objects:
      break;
    case outcome_kind::items:
      part.kind = outcome_kind::value;
      part.size = detail::run_stride(header);
      part.count = detail::run_count(header) == 0 ? items_ : detail::run_count(header);
      length = std::uint64_t{part.count} * part.size;
      break;
    default:
      throw codec_error(damaged_text);
  }
  if (part.count > items_ || length > left_) throw codec_error(damaged_text);
  items_ -= part.count;
  const std::size_t padded = std::min<std::size_t>(left_, (length + 7) / 8 * 8);
  at_ += padded;
  left_ -= padded;
  return true;
}

}  // namespace procpool::wire

namespace procpool::detail {

void chunk_run::end_run() {
  if (!in_run_) return;
  in_run_ = false;
  // A run without values is dropped. A half-written value, when memory has run out, is cut off.
  rewind(run_length_ == 0 ? 0 : sizeof(std::uint64_t) + std::size_t{run_length_} * run_stride_);
  if (run_length_ == 0) return;
  const std::uint64_t header = run_header(run_length_, run_stride_);
  std::memcpy(begin_, &header, sizeof header);
  align(8);
  complete_ = size();
}

}  // namespace procpool::detail
