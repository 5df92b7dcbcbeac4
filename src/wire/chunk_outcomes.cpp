#include "wire/chunk_outcomes.hpp"

#include <cstring>

#include "procpool/errors.hpp"

namespace procpool::wire {

void fail_damaged() { throw codec_error(damaged_text); }

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
