// What the reader of a map holds, and how the sizes of chunks are chosen: nothing here depends on
// the input or on where the chunks run. For one thread: the reader of the results.
#pragma once

#include <cstddef>
#include <cstdint>
#include <exception>
#include <optional>
#include <type_traits>
#include <utility>
#include <variant>

#include "procpool/detail/std/chrono.hpp"
#include "procpool/detail/task/home_process.hpp"
#include "procpool/detail/task/outcome_value.hpp"
#include "procpool/detail/task/thunks.hpp"
#include "procpool/export.hpp"
#include "procpool/options.hpp"
#include "procpool/outcome.hpp"

namespace procpool::detail {

// The result of an item, also for a function that returns void.
template <class Result>
using item_of = std::conditional_t<std::is_void_v<Result>, std::monostate, Result>;

// What map_results holds: outcomes, one after the other.
template <class T>
class map_source {
 public:
  virtual ~map_source() = default;

  std::optional<outcome<T>> current;  // empty: the range has ended, or has not begun
  bool handed_out = false;            // the reader has looked at `current`

  // Reads the next outcome into `current`. Throws timeout_error and shutdown_error.
  void fetch() {
    handed_out = false;
    if constexpr (in_runs<T>::value) {
      // A copy of the process has no region to read from.
      if (values_ != values_end_ && home_.is_here()) [[likely]] {
        take_into(index_++, {nullptr, std::exchange(values_, values_ + sizeof(T)), sizeof(T)});
        return;
      }
    }
    current.reset();
    fetch_next();
  }
  // kill_running: also kills the workers whose items run.
  virtual void cancel(bool kill_running) noexcept = 0;
  virtual std::optional<std::size_t> total() const = 0;
  // Reads everything and drops the values. Returns the error of the lowest index, or null.
  virtual std::exception_ptr drain() = 0;

  const home_process& home() const noexcept { return home_; }

  // As fetch(), but throws the error of an item.
  void fetch_value() {
    fetch();
    if (current && !current->has_value()) {
      std::exception_ptr e = current->error();
      current.reset();
      std::rethrow_exception(std::move(e));
    }
  }

 protected:
  virtual void fetch_next() = 0;

  // Begins a run of values of one size; the first value is that of the item `index`.
  void begin_values(std::size_t index, const outcome_run& run) {
    index_ = index;
    values_ = run.first.data;
    values_end_ = run.first.data + run.first.size * run.count;
  }
  void end_values() { values_ = values_end_ = nullptr; }
  void take_into(std::size_t index, const outcome_view& o) {
    try {
      current.emplace(index, take_value<T>(o));
    } catch (...) {
      current.emplace(index, std::current_exception());
    }
  }

 private:
  home_process home_;
  const std::byte *values_ = nullptr, *values_end_ = nullptr;  // not read yet
  std::size_t index_ = 0;
};

// Chooses the sizes of chunks, for which no types are needed. Compiled.
class PROCPOOL_EXPORT chunk_sizer {
 public:
  // Throws std::invalid_argument for a chunksize or buffersize of 0.
  chunk_sizer(const map_options& options, int workers, std::optional<std::size_t> total);

  // The number of items of the next chunk; 0: enough is under way.
  std::size_t next_chunk() const;
  bool chunk_is_full(std::size_t bytes) const;
  // The number of items of `bytes` each that make a full chunk.
  std::size_t most_items(std::size_t bytes) const;
  void submitted(std::size_t items, std::size_t bytes);
  // The reader has read an outcome; for the first of a chunk, with the time that the chunk took.
  void chunk_done(std::size_t items, std::size_t bytes, std::uint32_t elapsed_ns);
  void taken(std::size_t items) { in_flight_ -= items; }

 private:
  std::optional<std::size_t> chunksize_, buffersize_;
  std::size_t workers_;
  std::optional<std::size_t> left_;  // input that has not been submitted
  std::size_t in_flight_ = 0, chunks_ = 0, bytes_ = 0;
  std::size_t size_ = 1;  // of the next chunk
  double ns_per_item_ = 0;
};

// How long something took, at least 1; the greatest number if that is too long to be represented.
PROCPOOL_EXPORT std::uint32_t nanoseconds_between(std::chrono::steady_clock::time_point begin,
                                                  std::chrono::steady_clock::time_point end);

}  // namespace procpool::detail
