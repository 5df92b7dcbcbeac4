// The type as which a value travels when its own type cannot travel: text of any kind as
// std::string, a span as a vector, references as values. Compile-time only, no state.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

namespace procpool::detail {

template <class T>
struct stored {
  using type = T;
};
template <>
struct stored<const char*> {
  using type = std::string;
};
template <>
struct stored<char*> {
  using type = std::string;
};
template <>
struct stored<std::string_view> {
  using type = std::string;
};
template <class T, std::size_t N>
struct stored<std::span<T, N>> {
  using type = std::vector<std::remove_cv_t<T>>;
};

// The type of an argument in the worker.
template <class T>
using stored_t = typename stored<std::decay_t<T>>::type;

// The value, as its stored type.
template <class T>
stored_t<T> make_stored(T&& value) {
  if constexpr (std::is_same_v<stored_t<T>, std::decay_t<T>>) {
    return std::forward<T>(value);
  } else if constexpr (std::is_same_v<stored_t<T>, std::string>) {
    return std::string(value);
  } else {
    return stored_t<T>(value.begin(), value.end());
  }
}

// The stored type inside the tuples and pairs that a codec's to_wire returns, which are naturally
// written with std::tie and views.
template <class T>
struct stored_parts {
  using type = stored_t<T>;
};
template <class... Ts>
struct stored_parts<std::tuple<Ts...>> {
  using type = std::tuple<typename stored_parts<std::remove_cvref_t<Ts>>::type...>;
};
template <class A, class B>
struct stored_parts<std::pair<A, B>> {
  using type = std::pair<typename stored_parts<std::remove_cvref_t<A>>::type,
                         typename stored_parts<std::remove_cvref_t<B>>::type>;
};
template <class T>
using stored_parts_t = typename stored_parts<std::remove_cvref_t<T>>::type;

}  // namespace procpool::detail
