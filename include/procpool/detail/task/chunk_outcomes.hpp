// The outcomes of a chunk, which is one task for several items of a map, as bytes: their format,
// and the writer that the thunks instantiate. wire/chunk_outcomes.hpp has the reader.
//
//   outcomes := [run] record*                            one for each finished item, in order
//   run      := { kind:8 stride:24 count:32 } value* padding-to-8
//   record   := { kind:8 bytes:56 } (value | value objects | exception) padding-to-8
//
// Values of one size, plain bytes or empty, need no header each: a run (kind `items`) has one for
// all of them. Its count is 0 while the run grows, and the run then is as long as the number of
// finished items. A run exists only at the beginning of a chunk's outcomes: the first exception
// ends it.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "procpool/detail/codec/wire_io.hpp"
#include "procpool/export.hpp"

namespace procpool::detail {

// How to read the bytes of an outcome: of a task, or of one item of a chunk.
enum class outcome_kind : std::uint16_t {
  none = 0,
  value = 1,
  exception = 2,
  items = 3,  // of a chunk: records of its items. Of items: a run of values
  no_room =
      4,  // no memory for the outcome: its length is the errno value. Of a chunk: for the rest
  value_with_objects = 5  // after the value comes a list of the shared objects that it names
};

// The progress of a chunk: {items finished : 32, 8-byte units of outcomes written : 32}.
constexpr std::uint64_t make_progress(std::uint32_t finished, std::uint32_t units) {
  return std::uint64_t{finished} << 32U | units;
}
constexpr std::uint32_t progress_finished(std::uint64_t p) {
  return static_cast<std::uint32_t>(p >> 32U);
}
constexpr std::uint32_t progress_units(std::uint64_t p) { return static_cast<std::uint32_t>(p); }

constexpr std::uint64_t record_header(outcome_kind kind, std::size_t bytes) {
  return static_cast<std::uint64_t>(kind) | std::uint64_t{bytes} << 8U;
}
constexpr std::uint64_t record_bytes(std::uint64_t header) { return header >> 8U; }
constexpr outcome_kind kind_of(std::uint64_t header) {
  return static_cast<outcome_kind>(header & 0xffU);
}

inline constexpr std::size_t largest_in_run = (std::size_t{1} << 24U) - 1;
constexpr std::uint64_t run_header(std::uint32_t count, std::uint32_t stride) {
  return record_header(outcome_kind::items, stride) | std::uint64_t{count} << 32U;
}
constexpr std::uint32_t run_count(std::uint64_t header) {
  return static_cast<std::uint32_t>(header >> 32U);
}
constexpr std::uint32_t run_stride(std::uint64_t header) {
  return static_cast<std::uint32_t>(header >> 8U) & 0xffffffU;
}

// One chunk as its thunk sees it: a writer for outcomes that counts items. For the worker's thread.
//
// It records the chunk's progress in the region: `begun` before an item runs, `progress` after its
// outcome is complete. So however the worker dies, the items before are delivered, the running item
// is blamed, and the rest run elsewhere.
class chunk_run : public wire_writer {
 public:
  std::uint32_t first() const { return first_; }
  std::uint32_t count() const { return count_; }

  void begin(std::uint32_t item) {
    note_begun(item);
    begin_record();
  }
  // Begins a run: the outcomes of items from first() on, each `stride` bytes, as long as they are
  // values.
  void begin_run(std::size_t stride) {
    run_stride_ = static_cast<std::uint32_t>(stride);
    const std::uint64_t header = run_header(0, run_stride_);
    write_value(header);
    in_run_ = true;
  }
  void begin_in_run(std::uint32_t item) { note_begun(item); }
  // Writes the next value of the run; or a record of its own, once the run has ended.
  void finish_in_run(const void* value, std::size_t bytes) {
    if (!in_run_) {
      begin_record();
      write(value, bytes);
      finish();
      return;
    }
    write(value, bytes);
    ++run_length_;
    note_finished();
  }
  void fail_in_run() {
    begin_record();
    fail();
  }
  // Called before the chunk is finished, and before an item has a record of its own. Compiled.
  PROCPOOL_EXPORT void end_run();
  void finish() { close(noted_ ? append_objects_(*this) : outcome_kind::value); }
  // Called in a catch block: drops the written part of the value, and writes the exception instead.
  void fail() {
    rewind(start_ + sizeof(std::uint64_t));
    write_current_exception_(*this);
    close(outcome_kind::exception);
  }

 protected:
  using write_exception = void (*)(chunk_run&);
  // Writes the list after the value; returns the item's kind.
  using append_objects = outcome_kind (*)(chunk_run&);
  chunk_run(std::byte* begin, std::byte* end, grow_function grow, write_exception w,
            object_function note, append_objects a)
      : wire_writer(begin, end, grow, note), write_current_exception_(w), append_objects_(a) {}
  ~chunk_run() = default;

  void rewind(std::size_t to) { cur_ = begin_ + to; }

  std::uint32_t first_ = 0, count_ = 0;
  std::atomic<std::uint32_t>* begun_ = nullptr;
  std::atomic<std::uint64_t>* progress_ = nullptr;
  bool noted_ = false;  // the item's value names shared objects

 private:
  void note_begun(std::uint32_t item) {
    // relaxed: read only after this process is dead, when all its stores are visible
    begun_->store(item + 1, std::memory_order_relaxed);
    item_ = item;
  }
  void note_finished() {
    const auto units = static_cast<std::uint32_t>((size() + 7) / 8);
    // release: the outcome is visible before the count that covers it
    progress_->store(make_progress(item_ + 1, units), std::memory_order_release);
  }
  // Begins after the last complete outcome, over the remains of an incomplete outcome.
  void begin_record() {
    if (in_run_) end_run();
    rewind(complete_);
    start_ = size();
    extend(sizeof(std::uint64_t));
  }
  void close(outcome_kind kind) {
    const std::uint64_t header = record_header(kind, size() - start_ - sizeof(std::uint64_t));
    align(8);
    std::memcpy(begin_ + start_, &header, sizeof header);
    complete_ = size();
    note_finished();
  }

  write_exception write_current_exception_;
  std::size_t start_ = 0, complete_ = 0;
  append_objects append_objects_;
  std::uint32_t item_ = 0;
  bool in_run_ = false;
  std::uint32_t run_stride_ = 0, run_length_ = 0;
};

}  // namespace procpool::detail
