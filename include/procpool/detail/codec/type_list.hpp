// Lists of types, at compile time. No state.
#pragma once

#include <cstddef>
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

// False, for static_asserts that must fail only when their template is instantiated.
template <class... Ts>
inline constexpr bool always_false = false;

}  // namespace procpool::detail
