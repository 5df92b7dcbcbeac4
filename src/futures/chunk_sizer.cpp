// The sizes of a map's chunks, and how many chunks are under way.
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <limits>
#include <stdexcept>

#include "procpool/detail/executor/map_feed.hpp"

namespace procpool::detail {
namespace {

// Long compared with the cost of a chunk (some microseconds), short for a waiting person.
constexpr double usual_chunk_ns = 500'000;
constexpr std::size_t largest_chunk = 65'536, growth = 8;
constexpr std::size_t chunks_per_worker = 4;
// A chunk of this size, with its results, fits into a CPU's own cache.
constexpr std::size_t chunk_bytes = std::size_t{64} << 10U;
constexpr std::size_t bytes_under_way = std::size_t{64} << 20U;

}  // namespace

chunk_sizer::chunk_sizer(const map_options& options, int workers, std::optional<std::size_t> total)
    : chunksize_(options.chunksize),
      buffersize_(options.buffersize),
      workers_(static_cast<std::size_t>(workers)),
      left_(total) {
  if (chunksize_ && *chunksize_ == 0) {
    throw std::invalid_argument("map_options::chunksize must be at least 1");
  }
  if (buffersize_ && *buffersize_ == 0) {
    throw std::invalid_argument("map_options::buffersize must be at least 1");
  }
  // The limit is that of each item: an item is a task of its own.
  if (options.task.time_limit) chunksize_ = 1;
}

std::size_t chunk_sizer::next_chunk() const {
  std::size_t most = std::min(chunksize_.value_or(size_), largest_chunk);
  if (buffersize_) {
    if (in_flight_ >= *buffersize_) return 0;
    most = std::min(most, *buffersize_ - in_flight_);
  } else {
    if (chunks_ >= chunks_per_worker * workers_ + 2) return 0;
    // Large items: every worker has a next chunk, whatever its size.
    if (bytes_ >= bytes_under_way && chunks_ >= 2 * workers_) return 0;
  }
  if (!chunksize_) {
    // Chunks get smaller towards the end, so that the last worker does not run a large chunk alone.
    if (left_) most = std::min(most, std::max<std::size_t>(1, *left_ / (2 * workers_)));
    if (buffersize_) most = std::min(most, std::max<std::size_t>(1, *buffersize_ / (2 * workers_)));
  }
  return most;
}

bool chunk_sizer::chunk_is_full(std::size_t bytes) const {
  return !chunksize_ && bytes >= chunk_bytes;
}

std::size_t chunk_sizer::most_items(std::size_t bytes) const {
  return chunksize_ ? *chunksize_ : std::max<std::size_t>(1, chunk_bytes / bytes);
}

void chunk_sizer::submitted(std::size_t items, std::size_t bytes) {
  in_flight_ += items;
  bytes_ += bytes;
  ++chunks_;
  if (left_) *left_ -= std::min(*left_, items);
}

void chunk_sizer::chunk_done(std::size_t items, std::size_t bytes, std::uint32_t elapsed_ns) {
  bytes_ -= bytes;
  --chunks_;
  if (elapsed_ns == 0 || items == 0) return;
  const double each = static_cast<double>(elapsed_ns) / static_cast<double>(items);
  ns_per_item_ = ns_per_item_ == 0 ? each : 0.7 * ns_per_item_ + 0.3 * each;
  const double fit = std::clamp(usual_chunk_ns / ns_per_item_, 1.0, double{largest_chunk});
  size_ = std::min(static_cast<std::size_t>(fit), size_ * growth);
}

std::uint32_t nanoseconds_between(std::chrono::steady_clock::time_point begin,
                                  std::chrono::steady_clock::time_point end) {
  const std::chrono::nanoseconds took = end - begin;
  return static_cast<std::uint32_t>(std::clamp<std::int64_t>(
      took.count(), 1, std::int64_t{std::numeric_limits<std::uint32_t>::max()}));
}

}  // namespace procpool::detail
