// The functions that a worker calls: one for each kind of task, made by a template here and called
// by compiled code. It decodes the task's function and arguments, calls the function, and encodes
// the result; an exception passes through to the compiled code, which encodes it.
//
// A chunk is one task for several items of a map. chunk_run records its progress in the region:
// `begun` before an item runs, `progress` after its outcome is complete. So however the worker
// dies, the items before are delivered, the running item is blamed, and the rest run elsewhere.
#pragma once

#include <atomic>
#include <cstdint>
#include <type_traits>

#include "procpool/detail/codec/encode.hpp"
#include "procpool/detail/codec/wire_io.hpp"
#include "procpool/detail/std/memory.hpp"
#include "procpool/detail/task/task_call.hpp"
#include "procpool/export.hpp"
#include "procpool/options.hpp"

namespace procpool::detail {

using task_thunk = void (*)(wire_reader& in, wire_writer& out);

// The header of each item's outcome: kind in the low byte, bytes of payload above it. Payloads are
// padded to 8. Kind item_with_objects: the value is followed by a list of the shared objects that
// it names.
inline constexpr std::uint64_t item_value = 1, item_exception = 2, item_with_objects = 4;
constexpr std::uint64_t item_header(std::uint64_t kind, std::size_t bytes) {
  return kind | std::uint64_t{bytes} << 8U;
}

// Values of one size, plain bytes or empty, need no header each: one header stands for the whole
// run. {count : 32, stride : 24, kind : 8}; the count is 0 while the run grows, and the run then is
// as long as the number of finished items. A run exists only at the beginning of a chunk's
// outcomes: the first exception ends it.
inline constexpr std::uint64_t item_run = 3;
inline constexpr std::size_t largest_in_run = (std::size_t{1} << 24U) - 1;
constexpr std::uint64_t run_header(std::uint32_t count, std::uint32_t stride) {
  return item_run | std::uint64_t{stride} << 8U | std::uint64_t{count} << 32U;
}
constexpr std::uint32_t run_count(std::uint64_t header) {
  return static_cast<std::uint32_t>(header >> 32U);
}
constexpr std::uint32_t run_stride(std::uint64_t header) {
  return static_cast<std::uint32_t>(header >> 8U) & 0xffffffU;
}

// Whether results of type R form a run, and how far apart they lie.
template <class R>
struct in_runs {
  static constexpr bool value = [] {
    if constexpr (can_travel<R, bound_for::worker>()) {
      return all_plain<R> && sizeof(R) <= largest_in_run;
    } else {
      return false;  // the result of a thread's task
    }
  }();
  static constexpr std::size_t stride = sizeof(R);
};
template <>
struct in_runs<void> {
  static constexpr bool value = true;
  static constexpr std::size_t stride = 0;
};

// One chunk as its thunk sees it: a writer for outcomes that counts items. For the worker's thread.
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
    // release: as in close()
    progress_->store(std::uint64_t{item_ + 1} << 32U | (size() + 7) / 8, std::memory_order_release);
  }
  void fail_in_run() {
    begin_record();
    fail();
  }
  // Called before the chunk is finished, and before an item has a record of its own. Compiled.
  PROCPOOL_EXPORT void end_run();
  void finish() { close(noted_ ? append_objects_(*this) : item_value); }
  // Called in a catch block: drops the written part of the value, and writes the exception instead.
  void fail() {
    rewind(start_ + sizeof(std::uint64_t));
    write_current_exception_(*this);
    close(item_exception);
  }

 protected:
  using write_exception = void (*)(chunk_run&);
  // Writes the list after the value; returns the item's kind.
  using append_objects = std::uint64_t (*)(chunk_run&);
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
  // Begins after the last complete outcome, over the remains of an incomplete outcome.
  void begin_record() {
    if (in_run_) end_run();
    rewind(complete_);
    start_ = size();
    extend(sizeof(std::uint64_t));
  }
  void close(std::uint64_t kind) {
    const std::uint64_t header = item_header(kind, size() - start_ - sizeof(std::uint64_t));
    align(8);
    std::memcpy(begin_ + start_, &header, sizeof header);
    complete_ = size();
    // release: the outcome is visible before the count that covers it
    progress_->store(std::uint64_t{item_ + 1} << 32U | size() / 8, std::memory_order_release);
  }

  write_exception write_current_exception_;
  std::size_t start_ = 0, complete_ = 0;
  append_objects append_objects_;
  std::uint32_t item_ = 0;
  bool in_run_ = false;
  std::uint32_t run_stride_ = 0, run_length_ = 0;
};

using chunk_thunk = void (*)(wire_reader& in, chunk_run& run);

// The type that F is deduced as when the caller gives an overloaded function name.
using overloaded_name = overloaded_function_name_wrap_it_in_a_captureless_lambda;

// A task, as opposed to the options that may stand before it.
template <class F>
concept is_task = !std::is_same_v<F, task_options> && !std::is_same_v<F, map_options>;

template <class F, class... Args>
struct PROCPOOL_LOCAL thunks {
  using call = task_call<F, Args...>;
  using result = typename call::result_type;

  static void run_task(wire_reader& in, wire_writer& out) {
    if constexpr (std::is_void_v<result>) {
      call::run(in);
    } else {
      // Destroys the arguments before the outcome is written, perhaps in their place.
      result r = call::run(in);
      encode(out, r);
    }
  }

  // Payload: the function, then the items. If all arguments are plain bytes, the items are
  // contiguous; otherwise each item is aligned and has its length in front of it.
  static constexpr bool plain_items = call::plain_arguments;

  static void run_chunk(wire_reader& in, chunk_run& run) {
    auto&& f = call::decode_function(in);
    if constexpr (in_runs<result>::value) run.begin_run(in_runs<result>::stride);
    if constexpr (plain_items) {
      constexpr std::size_t bytes = call::plain_size;
      const std::byte* items = in.view(bytes * run.count(), "the items");
      for (std::uint32_t i = run.first(); i < run.count(); ++i) {
        run_item(f, run, i, items + i * bytes, bytes);
      }
    } else {
      for (std::uint32_t i = 0; i < run.count(); ++i) {
        const auto bytes = in.read_value<std::uint64_t>("an item's length");
        in.align(wire_alignment);
        const std::byte* begin = in.view(bytes, "an item");
        if (i >= run.first()) run_item(f, run, i, begin, bytes);
      }
    }
    run.end_run();
  }

 private:
  template <class Function>
  static void run_item(const Function& f, chunk_run& run, std::uint32_t index,
                       const std::byte* begin, std::size_t bytes) {
    if constexpr (in_runs<result>::value) {
      run.begin_in_run(index);
      try {
        wire_reader item(begin, bytes);
        if constexpr (std::is_void_v<result>) {
          call::run_with(f, item);
          run.finish_in_run(nullptr, 0);
        } else {
          const result r = call::run_with(f, item);
          run.finish_in_run(std::addressof(r), sizeof r);
        }
      } catch (...) {
        run.fail_in_run();
      }
    } else {
      run.begin(index);
      try {
        wire_reader item(begin, bytes);
        result r = call::run_with(f, item);
        encode(run, r);
        run.finish();
      } catch (...) {
        run.fail();
      }
    }
  }
};

}  // namespace procpool::detail
