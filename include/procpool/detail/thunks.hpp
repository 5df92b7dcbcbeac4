// What a worker calls: one function per kind of task, made by a template here, called by compiled
// code there. It decodes the function and its arguments, runs it, and encodes what it returned;
// what it throws goes through to the caller, who encodes that.
//
// A chunk is one task that stands for several items of a map. chunk_run tells the region how far
// it is: `begun` before an item runs, `progress` after its outcome is complete. So whatever kills
// the worker, the items before are delivered, the one that ran is blamed, the rest run elsewhere.
#pragma once

#include <atomic>
#include <cstdint>
#include <type_traits>

#include "procpool/codec.hpp"
#include "procpool/detail/task_call.hpp"
#include "procpool/detail/wire_io.hpp"
#include "procpool/options.hpp"

namespace procpool::detail {

using task_thunk = void (*)(wire_reader& in, wire_writer& out);

// The record in front of each item's outcome: kind in the low byte, bytes of payload above it.
// Payloads are padded to 8.
// An item of the third kind has a list of shared objects behind its value.
inline constexpr std::uint64_t item_value = 1, item_exception = 2, item_with_objects = 3;
constexpr std::uint64_t item_header(std::uint64_t kind, std::size_t bytes) {
  return kind | std::uint64_t{bytes} << 8U;
}

// One chunk as its thunk sees it: a writer for outcomes that counts items. Worker's thread only.
class chunk_run : public wire_writer {
 public:
  std::uint32_t first() const { return first_; }
  std::uint32_t count() const { return count_; }

  void begin(std::uint32_t item) {
    // relaxed: read only after this process is dead, when all its stores are visible
    begun_->store(item + 1, std::memory_order_relaxed);
    item_ = item;
    start_ = size();
    extend(sizeof(std::uint64_t));
  }
  void finish() { close(noted_ ? append_objects_(*this) : item_value); }
  // In a catch block: what was written of the value is dropped, the exception takes its place.
  void fail() {
    rewind(start_ + sizeof(std::uint64_t));
    write_current_exception_(*this);
    close(item_exception);
  }

 protected:
  using write_exception = void (*)(chunk_run&);
  // The list behind the value; returns the item's kind.
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
  void close(std::uint64_t kind) {
    const std::uint64_t header = item_header(kind, size() - start_ - sizeof(std::uint64_t));
    align(8);
    std::memcpy(begin_ + start_, &header, sizeof header);
    // release: the outcome before the count that vouches for it
    progress_->store(std::uint64_t{item_ + 1} << 32U | size() / 8, std::memory_order_release);
  }

  write_exception write_current_exception_;
  std::size_t start_ = 0;
  append_objects append_objects_;
  std::uint32_t item_ = 0;
};

using chunk_thunk = void (*)(wire_reader& in, chunk_run& run);

// What F is deduced as when the caller gives the name of several functions.
using overloaded_name = overloaded_function_name_wrap_it_in_a_captureless_lambda;

// What stands for a task, rather than for options in front of one.
template <class F>
concept is_task = !std::is_same_v<F, task_options> && !std::is_same_v<F, map_options>;

template <class F, class... Args>
struct thunks {
  using call = task_call<F, Args...>;
  using result = typename call::result_type;

  static void run_task(wire_reader& in, wire_writer& out) {
    if constexpr (std::is_void_v<result>) {
      call::run(in);
    } else {
      // The arguments are gone before the outcome is written, perhaps in their place.
      result r = call::run(in);
      encode(out, r);
    }
  }

  // Payload: the function, then for each item its length in bytes and its arguments, aligned.
  static void run_chunk(wire_reader& in, chunk_run& run) {
    auto&& f = call::decode_function(in);
    for (std::uint32_t i = 0; i < run.count(); ++i) {
      const auto bytes = in.read_value<std::uint64_t>("an item's length");
      in.align(wire_alignment);
      const std::byte* begin = in.view(bytes, "an item");
      if (i < run.first()) continue;
      run.begin(i);
      try {
        wire_reader item(begin, bytes);
        if constexpr (std::is_void_v<result>) {
          call::run_with(f, item);
        } else {
          result r = call::run_with(f, item);
          encode(run, r);
        }
        run.finish();
      } catch (...) {
        run.fail();
      }
    }
  }
};

}  // namespace procpool::detail
