// The members of an aggregate: how many there are, their types, and how an aggregate is built from
// them. Compile-time only, no state.
#pragma once

#include <cstddef>
#include <type_traits>
#include <utility>

#include "procpool/detail/codec/bindings.hpp"
#include "procpool/detail/codec/type_list.hpp"

namespace procpool::detail {

inline constexpr std::size_t unknown_members = static_cast<std::size_t>(-1);

// Converts to the type of any member, except to the aggregate itself.
template <class Aggregate>
struct any_member {
  template <class T>
    requires(!std::is_same_v<T, Aggregate>)
  operator T() const;  // not defined
};
template <class Aggregate>
struct any_referred {
  template <class T>
    requires(!std::is_same_v<T, Aggregate>)
  operator T&() const;  // not defined
};
template <class Aggregate>
struct any_base {
  template <class T>
    requires(std::is_base_of_v<T, Aggregate> && !std::is_same_v<T, Aggregate>)
  operator T() const;  // not defined
};

template <class Any, std::size_t>
using repeat = Any;

template <class T, class Any, std::size_t... I>
consteval bool fits_any(std::index_sequence<I...>) {
  return requires { T{std::declval<repeat<Any, I>>()...}; };
}

// Whether T{any..., {any...}, any...} is valid, with `B`, `N` and `A` initialisers.
template <class T, class Any, std::size_t... B, std::size_t... N, std::size_t... A>
consteval bool fits_nested(std::index_sequence<B...>, std::index_sequence<N...>,
                           std::index_sequence<A...>) {
  return requires {
    T{std::declval<repeat<Any, B>>()...,
      {std::declval<repeat<Any, N>>()...},
      std::declval<repeat<Any, A>>()...};
  };
}

// The usual case: T{} is valid, so that T{ {}, {} ... } is valid exactly up to the number of
// members, which a binary search finds.
template <class T, std::size_t Low, std::size_t High>
consteval std::size_t count_braces() {
  if constexpr (Low == High) {
    return Low;
  } else {
    constexpr std::size_t middle = (Low + High + 1) / 2;
    if constexpr (bindings<middle>::template fits<T>) {
      return count_braces<T, middle, High>();
    } else {
      return count_braces<T, Low, middle - 1>();
    }
  }
}

// Otherwise some member has no default. The search is for the greatest valid number of
// convert-to-anything initialisers, where each element of an array counts (brace elision). Smaller
// numbers may be valid too, down to the last member without a default. The result is 0 if no number
// is valid.
inline constexpr std::size_t max_flat_members = 256;

template <class T, class Any, std::size_t N = 1, bool Fitted = false>
consteval std::size_t count_flat() {
  if constexpr (N > sizeof(T) || N > max_flat_members) {
    return Fitted ? N - 1 : 0;
  } else if constexpr (fits_any<T, Any>(std::make_index_sequence<N>{})) {
    return count_flat<T, Any, N + 1, true>();
  } else if constexpr (Fitted) {
    return N - 1;
  } else {
    return count_flat<T, Any, N + 1, false>();
  }
}

// How many of the `Flat` initialisers belong to the member that starts at `Index`.
template <class T, class Any, std::size_t Flat, std::size_t Index, std::size_t Size>
consteval std::size_t flat_size() {
  if constexpr (Size < 2) {
    return 1;
  } else {
    constexpr std::size_t after = Flat - Index - Size;
    constexpr auto before = std::make_index_sequence<Index>{};
    if constexpr (fits_nested<T, Any>(before, std::make_index_sequence<Size>{},
                                      std::make_index_sequence<after>{}) &&
                  !fits_nested<T, Any>(before, std::make_index_sequence<Size>{},
                                       std::make_index_sequence<after + 1>{})) {
      return Size;
    } else {
      return flat_size<T, Any, Flat, Index, Size - 1>();
    }
  }
}

template <class T, class Any, std::size_t Flat, std::size_t Index = 0>
consteval std::size_t count_from_flat() {
  if constexpr (Index >= Flat) {
    return 0;
  } else if constexpr (fits_nested<T, Any>(std::make_index_sequence<Index>{},
                                           std::make_index_sequence<0>{},
                                           std::make_index_sequence<Flat - Index - 1>{})) {
    return 1 + count_from_flat<T, Any, Flat, Index + 1>();
  } else {
    constexpr std::size_t size = flat_size<T, Any, Flat, Index, Flat - Index>();
    return 1 + count_from_flat<T, Any, Flat, Index + size>();
  }
}

template <class T>
consteval std::size_t count_defaulted() {
  if constexpr (bindings<0>::fits<T>) {
    constexpr std::size_t n = count_braces<T, 0, max_members>();
    if constexpr (!bindings<n>::template fits_more<T, any_member<T>>) {
      return n;
    }
  }
  return unknown_members;
}

template <class T>
consteval std::size_t count_members() {
  if constexpr (!std::is_aggregate_v<T> || std::is_union_v<T> || std::is_array_v<T>) {
    return unknown_members;
  } else if constexpr (std::is_empty_v<T>) {
    return 0;
  } else if constexpr (requires { T{any_base<T>{}}; }) {
    return unknown_members;  // has a base class
  } else if constexpr (constexpr auto n = count_defaulted<T>(); n != unknown_members) {
    return n;
  } else if constexpr (constexpr auto flat = count_flat<T, any_member<T>>(); flat != 0) {
    return count_from_flat<T, any_member<T>, flat>();
  } else if constexpr (constexpr auto referred = count_flat<T, any_referred<T>>(); referred != 0) {
    return count_from_flat<T, any_referred<T>, referred>();
  } else {
    return unknown_members;
  }
}

// The number of members; unknown_members for a type that has more than 64, has base classes or is
// no aggregate.
template <class T>
inline constexpr std::size_t member_count = [] {
  constexpr std::size_t n = count_members<T>();
  return n <= max_members ? n : unknown_members;
}();

template <class T>
using member_types =
    decltype(bindings<member_count<T>>::types(std::declval<std::remove_cv_t<T>&>()));

// Calls f(each member...), as lvalues.
template <class T, class F>
constexpr decltype(auto) visit_members(T& aggregate, F&& f) {
  return bindings<member_count<std::remove_cv_t<T>>>::visit(aggregate, std::forward<F>(f));
}

}  // namespace procpool::detail
