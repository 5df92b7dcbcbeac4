// Small compile-time vocabulary: lists of types, and the names of types. No state.
#pragma once

#include <cstddef>
#include <string_view>
#include <type_traits>

namespace procpool::detail {

template <class... Ts>
struct type_list {
  static constexpr std::size_t size = sizeof...(Ts);
};

template <class T, class... Ts>
inline constexpr bool is_one_of = (std::is_same_v<T, Ts> || ...);

template <class T, class List>
inline constexpr bool contains = false;
template <class T, class... Ts>
inline constexpr bool contains<T, type_list<Ts...>> = is_one_of<T, Ts...>;

template <class List, class T>
struct append;
template <class... Ts, class T>
struct append<type_list<Ts...>, T> {
  using type = type_list<Ts..., T>;
};

template <std::size_t N, class List>
struct drop_front {
  using type = List;
};
template <std::size_t N, class T, class... Ts>
  requires(N > 0)
struct drop_front<N, type_list<T, Ts...>> : drop_front<N - 1, type_list<Ts...>> {};

// For static_asserts that must fail only when their template is used.
template <class... Ts>
inline constexpr bool always_false = false;

// The name of a type as this compiler writes it. The same type has the same name in each process
// of a program, as they run the same binary.
template <class T>
constexpr auto type_name() {
  std::string_view name = __PRETTY_FUNCTION__;
  name.remove_prefix(name.find("T = ") + 4);
  name.remove_suffix(name.size() - name.rfind(']'));
  return name;
}

// Standard types are recognised by their namespace and shape, where naming them would mean to
// include a header as costly as <filesystem>.
template <class T>
inline constexpr bool is_in_std = type_name<T>().starts_with("std::");

// As g++ and as clang write one; but not a template that has one among its arguments.
constexpr bool names_lambda(std::string_view type) {
  for (const std::string_view mark : {"<lambda(", "(lambda at "}) {
    const std::size_t at = type.find(mark);
    if (at == std::string_view::npos) continue;
    int open = 0;
    for (const char c : type.substr(0, at)) open += (c == '<') - (c == '>');
    return open == 0;
  }
  return false;
}
template <class T>
inline constexpr bool is_lambda = names_lambda(type_name<T>());

}  // namespace procpool::detail
