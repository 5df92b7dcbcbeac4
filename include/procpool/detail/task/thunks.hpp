// The functions that a worker calls: one for each kind of task, made by a template here and called
// by compiled code. It decodes the task's function and arguments, calls the function, and encodes
// the result; an exception passes through to the compiled code, which encodes it.
#pragma once

#include <cstdint>
#include <type_traits>

#include "procpool/detail/codec/encode.hpp"
#include "procpool/detail/codec/wire_io.hpp"
#include "procpool/detail/std/memory.hpp"
#include "procpool/detail/task/chunk_outcomes.hpp"
#include "procpool/detail/task/task_call.hpp"
#include "procpool/export.hpp"
#include "procpool/options.hpp"

namespace procpool::detail {

using task_thunk = void (*)(wire_reader& in, wire_writer& out);

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
