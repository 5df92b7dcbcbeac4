// A task: a function and its arguments, packed into bytes in the parent, decoded and called in the
// worker.
//
// pack* run in the submitting thread, run* in the worker. No state.
#pragma once

#include <cstddef>
#include <cstring>
#include <type_traits>
#include <utility>

#include "procpool/detail/std/memory.hpp"
#include "procpool/detail/task/call_traits.hpp"

namespace procpool::detail {

// F and Args are the caller's types: references, literals and all. Calls that store the same types
// share their bodies.
template <class F, class... Args>
using body_of =
    call_traits<std::decay_t<F>, type_list<>, std::index_sequence_for<Args...>, stored_t<Args>...>;

// Decodes and runs a task; its result is dropped.
using run_thunk = void (*)(wire_reader&);

template <class F, class... Args>
struct task_call {
  using function_type = std::decay_t<F>;
  using body = body_of<F, Args...>;
  using result_type = typename body::result_type;

  static_assert(body::check());
  static constexpr bool is_valid = body::fits();
  // Whether all arguments are plain bytes, and their size.
  static constexpr bool plain_arguments = is_valid && all_plain<stored_t<Args>...>;
  static constexpr std::size_t plain_size = total_size<stored_t<Args>...>;

  static void pack(wire_writer& writer, const function_type& f,
                   const std::remove_cvref_t<Args>&... args) {
    pack_function(writer, f);
    pack_arguments(writer, args...);
  }
  static void pack_function(wire_writer& writer, const function_type& f) {
    if constexpr (is_valid) {
      put_function(writer, f);
    }
  }
  static void pack_arguments([[maybe_unused]] wire_writer& writer,
                             const std::remove_cvref_t<Args>&... args) {
    if constexpr (!is_valid) {
      (static_cast<void>(args), ...);
    } else if constexpr (all_plain<stored_t<Args>...>) {
      std::byte* to = writer.extend(total_size<stored_t<Args>...>);
      (std::memcpy(std::exchange(to, to + sizeof(args)), std::addressof(args), sizeof(args)), ...);
    } else {
      (put_as<stored_t<Args>>(writer, args), ...);
    }
  }

  static result_type run(wire_reader& reader) {
    if constexpr (is_valid) {
      const function_type f = take_function<function_type>(reader);
      return body::call(f, reader);
    }
  }

  static void run_and_drop(wire_reader& reader) { static_cast<void>(run(reader)); }

  // For a map: decodes the function once, then each item's arguments from a reader of their own.
  static function_type decode_function(wire_reader& reader) {
    return take_function<function_type>(reader);
  }
  static result_type run_with(const function_type& f, wire_reader& arguments) {
    if constexpr (is_valid) {
      return body::call(f, arguments);
    }
  }
};

}  // namespace procpool::detail
