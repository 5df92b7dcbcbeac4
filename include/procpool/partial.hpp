// procpool::partial(f, args...): f with its leading arguments bound, as a task function; the
// counterpart of functools.partial.
//
//   pool.map(procpool::partial(scale, 2.5), values);      // scale(2.5, value)
//
// The bound values are copied, like the arguments of a task, and are sent once for each chunk of a
// map. In the worker they are passed as const: the same objects serve all items. A bound text is a
// std::string, and passed as const char* to a function that declares that. A value, without locks.
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>

#include "procpool/detail/codec/stored.hpp"
#include "procpool/detail/task/callable.hpp"

namespace procpool {

namespace detail {

// The I-th argument of F from the bound value.
template <class F, std::size_t I, class T>
decltype(auto) pass_bound(const T& value) {
  using parameter = typename parameter_at<I, typename parameters_of<F>::type>::type;
  if constexpr (std::is_same_v<T, std::string> &&
                std::is_same_v<std::remove_cvref_t<parameter>, const char*>) {
    return value.c_str();
  } else {
    return (value);
  }
}
template <class F, std::size_t I, class T>
using passed_bound = decltype(pass_bound<F, I>(std::declval<const T&>()));

template <class F, class Bound, class Indices, class... Rest>
inline constexpr bool takes_bound = false;
template <class F, class... Bound, std::size_t... I, class... Rest>
inline constexpr bool takes_bound<F, type_list<Bound...>, std::index_sequence<I...>, Rest...> =
    std::is_invocable_v<const F&, passed_bound<F, I, Bound>..., Rest...>;

}  // namespace detail

template <class F, class... Bound>
class partial_function {
 public:
  // From values of the stored types, as partial() and decoding have them.
  explicit partial_function(F f, std::tuple<Bound...> bound)
      : f_(std::move(f)), bound_(std::move(bound)) {}

  template <class... Rest>
    requires detail::takes_bound<F, detail::type_list<Bound...>, std::index_sequence_for<Bound...>,
                                 Rest...>
  decltype(auto) operator()(Rest&&... rest) const {
    return call(std::index_sequence_for<Bound...>(), std::forward<Rest>(rest)...);
  }

 private:
  template <std::size_t... I, class... Rest>
  decltype(auto) call(std::index_sequence<I...>, Rest&&... rest) const {
    return std::invoke(f_, detail::pass_bound<F, I>(std::get<I>(bound_))...,
                       std::forward<Rest>(rest)...);
  }

  friend detail::wire<partial_function>;
  F f_;
  std::tuple<Bound...> bound_;
};

template <class F, class... Args>
auto partial(F f, Args&&... args) {
  using detail::stored_t;
  return partial_function<F, stored_t<Args>...>(
      std::move(f),
      std::tuple<stored_t<Args>...>{detail::make_stored(std::forward<Args>(args))...});
}

namespace detail {

template <class F, class... Bound>
struct wire<partial_function<F, Bound...>> : wire_composite<> {
  using function = partial_function<F, Bound...>;

  static constexpr auto list_parts() {
    if constexpr (is_stateless<F>) {
      return type_list<Bound...>{};
    } else {
      return type_list<F, Bound...>{};
    }
  }
  static void put(wire_writer& writer, const function& value) {
    put_function(writer, value.f_);
    wire<std::tuple<Bound...>>::put(writer, value.bound_);
  }
  static function take(wire_reader& reader) {
    F f = take_function<F>(reader);
    return function(std::move(f), wire<std::tuple<Bound...>>::take(reader));
  }
};

template <class F, class... Bound, class... Args>
inline constexpr bool wants_to_change<partial_function<F, Bound...>, Args...> =
    wants_to_change<F, const Bound&..., Args...>;

template <class F, class... Bound>
struct parameters_of<partial_function<F, Bound...>> {
  using type = typename drop_front<sizeof...(Bound), typename parameters_of<F>::type>::type;
};

}  // namespace detail
}  // namespace procpool
