// The static_asserts for types that cannot be sent to another process. The search runs through all
// parts of a type; the error names the type at fault, the type that holds it, and the number of the
// member. Compile-time only, no state.
#pragma once

#include <cstddef>
#include <initializer_list>
#include <span>
#include <string_view>
#include <type_traits>
#include <utility>

#include "procpool/detail/codec/codec_shapes.hpp"
#include "procpool/detail/codec/type_name.hpp"
#include "procpool/detail/std/function.hpp"

namespace procpool {

// Types that cannot travel, each with advice of its own.
template <class T>
class future;
template <class T>
class shared_future;
template <class T>
class promise;
class process_pool_executor;
class thread_pool_executor;
class inline_executor;
class any_executor;

}  // namespace procpool

namespace procpool::detail {

enum class obstacle {
  none,
  pointer,
  reference,
  view,
  code,
  capture,
  shape,
  future,
  executor,
  polymorphic,
  immovable,
  no_codec
};

// The destination of a value. A worker calls functions that the parent sends; the parent never
// calls functions that a worker sends.
enum class bound_for { worker, parent };

template <class T>
inline constexpr bool is_view = false;
template <class C, class Traits>
inline constexpr bool is_view<std::basic_string_view<C, Traits>> = true;
template <class T, std::size_t N>
inline constexpr bool is_view<std::span<T, N>> = true;
template <class T>
inline constexpr bool is_view<std::initializer_list<T>> = true;

// Those of the standard are recognised by name: <future> is costly.
constexpr bool names_result_to_come(std::string_view type) {
  if (!type.starts_with("std::")) return false;
  type = type.substr(0, type.find('<'));
  return type.ends_with("::future") || type.ends_with("::shared_future") ||
         type.ends_with("::promise");
}
template <class T>
inline constexpr bool is_result_to_come = names_result_to_come(type_name<T>());
template <class T>
inline constexpr bool is_result_to_come<future<T>> = true;
template <class T>
inline constexpr bool is_result_to_come<shared_future<T>> = true;
template <class T>
inline constexpr bool is_result_to_come<promise<T>> = true;

template <class T>
inline constexpr bool is_executor =
    std::is_same_v<T, process_pool_executor> || std::is_same_v<T, thread_pool_executor> ||
    std::is_same_v<T, inline_executor> || std::is_same_v<T, any_executor>;

// Why a class without a codec cannot travel.
template <class T>
consteval obstacle obstacle_of_class() {
  if constexpr (is_result_to_come<T>) {
    return obstacle::future;
  } else if constexpr (is_executor<T>) {
    return obstacle::executor;
  } else if constexpr (std::is_polymorphic_v<T>) {
    return obstacle::polymorphic;
  } else if constexpr (!std::is_move_constructible_v<T>) {
    return obstacle::immovable;
  } else {
    return obstacle::no_codec;
  }
}

template <class T, bound_for Side>
consteval obstacle own_obstacle() {
  if constexpr (std::is_reference_v<T> || is_reference_wrapper<T>) {
    return obstacle::reference;
  } else if constexpr (std::is_abstract_v<T>) {
    return obstacle::polymorphic;
  } else if constexpr (requires { wire<T>::is_code; }) {
    return Side == bound_for::worker ? obstacle::none : obstacle::code;
  } else if constexpr (std::is_pointer_v<T> || std::is_null_pointer_v<T> ||
                       std::is_member_pointer_v<T>) {
    return obstacle::pointer;
  } else if constexpr (is_view<T>) {
    return obstacle::view;
  } else if constexpr (requires { wire<T>::kind; }) {
    if constexpr (wire<T>::kind != wire_kind::none) {
      return obstacle::none;
    } else if constexpr (is_lambda<T>) {
      return obstacle::capture;
    } else if constexpr (std::is_aggregate_v<T>) {
      return obstacle::shape;
    } else {
      return obstacle_of_class<T>();
    }
  } else {
    return obstacle::none;
  }
}

template <class T, bound_for Side, class Seen = type_list<>>
consteval bool can_travel();

template <bound_for Side, class Seen, class... Parts>
consteval bool all_can_travel(type_list<Parts...>) {
  return (can_travel<Parts, Side, Seen>() && ...);
}

// A type that holds itself (through a vector, a unique_ptr) can travel if all its other parts can.
template <class T, bound_for Side, class Seen>
consteval bool can_travel() {
  if constexpr (contains<T, Seen>) {
    return true;
  } else if constexpr (own_obstacle<T, Side>() != obstacle::none) {
    return false;
  } else {
    return all_can_travel<Side, typename append<Seen, T>::type>(parts_of<T>{});
  }
}

// The errors. `Part` cannot travel; `Owner` is the type that holds it as member number `Member`,
// counted from 0. Without an owner, `Part` is the argument or result itself.
inline constexpr std::size_t no_member = static_cast<std::size_t>(-1);
struct no_owner {};

// Never defined, so that the first line of the error contains this name and that of the class. (A
// static_assert does not name the class.)
template <class Class>
struct cannot_travel_to_another_process;
template <bool IsNamed, class Class>
struct name_of_class {};
template <class Class>
struct name_of_class<true, Class> : cannot_travel_to_another_process<Class> {};

template <obstacle Why, class Part, class Owner, std::size_t Member>
struct cannot_travel : name_of_class<(Why >= obstacle::shape), Part> {
  static_assert(Why != obstacle::pointer,
                "procpool: a raw pointer cannot be sent to another process: send the object "
                "itself or a std::unique_ptr, and text as a std::string");
  static_assert(Why != obstacle::reference,
                "procpool: a reference cannot be sent to another process: send a value");
  static_assert(Why != obstacle::view,
                "procpool: a view cannot be sent inside another value or as a result: use "
                "std::string for std::string_view and std::vector for std::span");
  static_assert(Why != obstacle::code,
                "procpool: a function pointer or task cannot be a result: return a value that "
                "says which function is meant");
  static_assert(Why != obstacle::capture,
                "procpool: a lambda with captures cannot be sent to another process: pass data as "
                "arguments or use procpool::partial");
  static_assert(Why != obstacle::shape,
                "procpool: this aggregate has a base class, or more than 64 members, or is a "
                "union: specialise procpool::codec for it");
  static_assert(Why != obstacle::future,
                "procpool: a future or promise cannot be sent to another process: get() the value "
                "first and send that, or submit the task from a callback: future::then");
  static_assert(
      Why != obstacle::executor,
      "procpool: an executor cannot be sent to another process, nor used in a task: make "
      "it no member of the argument, and return the data of further tasks to the program");
  static_assert(Why != obstacle::polymorphic,
                "procpool: a class with virtual functions cannot travel by its bytes: specialise "
                "procpool::codec for it, or send the data and make the object in the task");
  static_assert(
      Why != obstacle::immovable,
      "procpool: this class has no way to travel to another process, and it can be "
      "neither copied nor moved, as what holds a pool, a std::mutex or a thread: send the "
      "data that the task needs without that member, or specialise procpool::codec");
  static_assert(Why != obstacle::no_codec,
                "procpool: this class has no way to travel to another process: specialise "
                "procpool::codec for it (or procpool::enable_bytes, if its bytes are its value)");
};

template <class T, bound_for Side, class Owner = no_owner, std::size_t Member = no_member,
          class Seen = type_list<>>
consteval bool explain();

template <bound_for Side, class Owner, class Seen, class... Parts, std::size_t... I>
consteval bool explain_parts(type_list<Parts...>, std::index_sequence<I...>) {
  return (explain<Parts, Side, Owner, I, Seen>() && ...);
}

template <class T, bound_for Side, class Owner, std::size_t Member, class Seen>
consteval bool explain() {
  if constexpr (!contains<T, Seen>) {
    constexpr obstacle why = own_obstacle<T, Side>();
    if constexpr (why != obstacle::none) {
      return sizeof(cannot_travel<why, T, Owner, Member>) != 0;
    } else {
      using parts = parts_of<T>;
      return explain_parts<Side, T, typename append<Seen, T>::type>(
          parts{}, std::make_index_sequence<parts::size>{});
    }
  }
  return true;
}

// Fails to compile, with one of the messages above, if T cannot travel.
template <class T, bound_for Side>
consteval bool require_can_travel() {
  if constexpr (!can_travel<T, Side>()) {
    return explain<T, Side>();
  } else {
    return true;
  }
}

}  // namespace procpool::detail
