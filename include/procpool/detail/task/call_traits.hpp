// The call of a function whose arguments are decoded: which parameters take them as views, whether
// the call fits and what it returns, as far as the compiler can tell; and the call itself. The
// rules for task functions are checked here. No state; the calls run where the bytes are decoded.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "procpool/detail/codec/codec_check.hpp"
#include "procpool/detail/task/call_function.hpp"
#include "procpool/detail/task/callable.hpp"

namespace procpool::detail {

// How an argument of type Stored reaches a parameter of type Parameter (void: not known): as a
// Stored of its own, or, if the parameter is a view, as a view over the bytes of the task.
template <class Parameter, class Stored>
struct argument {
  using held = Stored;
  static held take(wire_reader& reader) { return wire<Stored>::take(reader); }
};

template <class Parameter>
inline constexpr bool takes_rvalues =
    !std::is_lvalue_reference_v<Parameter> || std::is_const_v<std::remove_reference_t<Parameter>>;

template <class Parameter>
  requires(std::is_same_v<std::remove_cvref_t<Parameter>, std::string_view> &&
           takes_rvalues<Parameter>)
struct argument<Parameter, std::string> {
  using held = std::string_view;
  static held take(wire_reader& reader) {
    std::size_t n = 0;
    const std::byte* from = view_run<char>(reader, n);
    return {reinterpret_cast<const char*>(from), n};
  }
};

// Text for a C string parameter. The string lives until the call has returned.
class c_string {
 public:
  explicit c_string(std::string text) : text_(std::move(text)) {}
  operator const char*() const noexcept { return text_.c_str(); }

 private:
  std::string text_;
};

template <class Parameter>
  requires(std::is_same_v<std::remove_cvref_t<Parameter>, const char*> && takes_rvalues<Parameter>)
struct argument<Parameter, std::string> {
  using held = c_string;
  static held take(wire_reader& reader) { return c_string(wire<std::string>::take(reader)); }
};

template <class Parameter, class T, class Allocator>
  requires(std::is_same_v<std::remove_cvref_t<Parameter>, std::span<const T>> &&
           takes_rvalues<Parameter> && wire<T>::is_bytes && !std::is_same_v<T, bool> &&
           alignof(T) <= wire_alignment)
struct argument<Parameter, std::vector<T, Allocator>> {
  using held = std::span<const T>;
  static held take(wire_reader& reader) {
    std::size_t n = 0;
    const std::byte* from = view_run<T>(reader, n);
    if (n == 0) {
      return {};
    }
    const held elements(aligned_run<T>(from), n);
    if constexpr (wire<T>::has_bool) {
      for (const T& element : elements) {
        check_bools(element);
      }
    }
    return elements;
  }
};

// Sums of sizes, for arguments that all travel as plain bytes.
template <class... Ts>
inline constexpr bool all_plain = ((wire<Ts>::is_bytes && !std::is_empty_v<Ts>) && ...);
template <class... Ts>
inline constexpr std::size_t total_size = (std::size_t{0} + ... + sizeof(Ts));

template <class T>
T take_plain(const std::byte*& from) {
  const std::byte* const at = std::exchange(from, from + sizeof(T));
  if constexpr (std::is_same_v<T, bool>) {
    const auto byte = loaded_once(std::to_integer<unsigned>(*at));
    if (byte > 1) [[unlikely]] {
      fail_invalid("a bool", byte);
    }
    return byte != 0;
  } else {
    T value = from_bytes<T>(at);
    check_bools(value);
    return value;
  }
}

// The compile errors of task functions.
template <class F>
struct task_captures {
  static_assert(always_false<F>,
                "procpool: a task cannot capture variables (lambdas with captures, std::function "
                "and std::bind hold them): pass data as arguments or use procpool::partial");
};
template <class F>
struct not_a_function {
  static_assert(always_false<F>,
                "procpool: this is not a function: a task is a function, a captureless lambda, a "
                "pointer to a member, or a function object whose state can be encoded");
};

template <class Function, class Parameters, class Arguments>
struct call_does_not_fit {
  static_assert(always_false<Function>,
                "procpool: the task function cannot be called with these arguments; named here are "
                "the function, its parameters where they are known, and the arguments as they "
                "arrive: as rvalues of their stored types, to a function that is const");
};

template <class Function>
struct function_is_not_const {
  static_assert(always_false<Function>,
                "procpool: a task function is called as const: a lambda that is mutable, or a "
                "function object whose operator() is not const, cannot be one; pass what it "
                "changes as an argument, or keep it in a static variable of the task");
};

// The type that F becomes when submit is given an overloaded function name; its name is the
// message.
struct overloaded_function_name_wrap_it_in_a_captureless_lambda {
  overloaded_function_name_wrap_it_in_a_captureless_lambda() = delete;
};

template <class F>
inline constexpr bool is_task_function =
    (std::is_class_v<F> || function_pointer<F> || std::is_member_pointer_v<F>) &&
    (is_stateless<F> || can_travel<F, bound_for::worker>());

template <class F>
consteval bool require_task_function() {
  if constexpr (is_lambda<F> || is_in_std<F>) {
    return sizeof(task_captures<F>) != 0;
  } else if constexpr (!std::is_class_v<F>) {
    return sizeof(not_a_function<F>) != 0;
  } else {
    return require_can_travel<F, bound_for::worker>();
  }
}

// The result is a copy of the returned value, also if the function returns a reference.
template <class Invoked>
struct task_result {
  using type = std::decay_t<Invoked>;
  static constexpr bool checked = require_can_travel<type, bound_for::parent>();
};
template <class Invoked>
  requires std::is_void_v<Invoked>
struct task_result<Invoked> {
  using type = void;
  static constexpr bool checked = true;
};

// Decodes an argument for each of Takes, an argument<>, and returns then(arguments...). One
// argument for each level of recursion, so that they are decoded in order, live each in a stack
// frame without being moved there, and are destroyed when the call returns.
template <class R, class... Takes, class Then, class... Done>
R decode_and_call(type_list<Takes...> takes, const Then& then, wire_reader& reader, Done&... done) {
  constexpr std::size_t next = sizeof...(Done);
  if constexpr (next == sizeof...(Takes)) {
    reader.expect_end();
    return then(std::move(done)...);
  } else {
    using take = std::tuple_element_t<next, std::tuple<Takes...>>;
    typename take::held value = take::take(reader);
    return decode_and_call<R>(takes, then, reader, done..., value);
  }
}

// F called with arguments of the types Leading, references to what is there already, and of the
// types Stored, which are decoded.
template <class F, class Leading, class Indices, class... Stored>
struct call_traits;

template <class F, class... Leading, std::size_t... I, class... Stored>
struct call_traits<F, type_list<Leading...>, std::index_sequence<I...>, Stored...> {
  using parameters = typename parameters_of<F>::type;

  template <std::size_t N, class T>
  using argument_at = argument<typename parameter_at<sizeof...(Leading) + N, parameters>::type, T>;

  static constexpr bool function_ok = is_task_function<F>;
  static constexpr bool arguments_ok = (can_travel<Stored, bound_for::worker>() && ...);

  static constexpr bool called_as_const() {
    return !wants_to_change<F, Leading..., typename argument_at<I, Stored>::held...>;
  }

  static constexpr bool fits() {
    if constexpr (!function_ok || !arguments_ok) {
      return false;
    } else if constexpr (!called_as_const()) {
      return false;
    } else {
      return std::is_invocable_v<const F&, Leading..., typename argument_at<I, Stored>::held...>;
    }
  }

  static consteval auto find_result() {
    if constexpr (fits()) {
      return std::type_identity<
          std::invoke_result_t<const F&, Leading..., typename argument_at<I, Stored>::held...>>{};
    } else {
      return std::type_identity<void>{};  // an error that has been reported already
    }
  }
  using invoked = typename decltype(find_result())::type;
  using result_type = typename task_result<invoked>::type;

  // Whether check() finds no error.
  static constexpr bool ok() {
    if constexpr (fits()) {
      return std::is_void_v<invoked> || can_travel<result_type, bound_for::parent>();
    } else {
      return false;
    }
  }
  static consteval bool check() {
    if constexpr (!function_ok) {
      return require_task_function<F>();
    } else if constexpr (!arguments_ok) {
      return (require_can_travel<Stored, bound_for::worker>() && ...);
    } else if constexpr (!called_as_const()) {
      return sizeof(function_is_not_const<F>) != 0;
    } else if constexpr (!fits()) {
      return sizeof(call_does_not_fit<F, parameters, type_list<Leading..., Stored...>>) != 0;
    } else {
      return task_result<invoked>::checked;
    }
  }

  static result_type call(const F& f, wire_reader& reader, Leading... leading) {
    if constexpr (all_plain<Stored...>) {
      const std::byte* from = reader.view(total_size<Stored...>, "the arguments");
      reader.expect_end();
      return call_plain(f, from, leading...);
    } else {
      const auto then = [&](auto&&... values) -> result_type {
        return detail::call_function(f, leading..., std::move(values)...);
      };
      return decode_and_call<result_type>(type_list<argument_at<I, Stored>...>{}, then, reader);
    }
  }

 private:
  static result_type call_plain(const F& f, [[maybe_unused]] const std::byte* from,
                                Leading... leading) {
    if constexpr (sizeof...(Stored) < 2) {
      return detail::call_function(f, leading..., take_plain<Stored>(from)...);
    } else {  // braces fix the order of the reads, an argument list would not
      std::tuple<Stored...> values{take_plain<Stored>(from)...};
      return detail::call_function(f, leading..., std::get<I>(std::move(values))...);
    }
  }
};

}  // namespace procpool::detail
