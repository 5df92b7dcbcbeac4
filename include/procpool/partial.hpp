// procpool::partial(f, args...): f with its leading arguments bound, as a task function; the
// counterpart of functools.partial.
//
//   pool.map(procpool::partial(scale, 2.5), values);      // scale(2.5, value)
//
// The bound values are copied, like the arguments of a task, and are sent once for each chunk of a
// map. In the worker they are passed as const: the same objects serve all items. A value, without
// locks.
#pragma once

#include <cstddef>
#include <functional>
#include <tuple>
#include <type_traits>
#include <utility>

#include "procpool/detail/codec/stored.hpp"
#include "procpool/detail/task/callable.hpp"

namespace procpool {

template <class F, class... Bound>
class partial_function {
 public:
  // From values of the stored types, as partial() and decoding have them.
  explicit partial_function(F f, std::tuple<Bound...> bound)
      : f_(std::move(f)), bound_(std::move(bound)) {}

  template <class... Rest>
    requires std::is_invocable_v<const F&, const Bound&..., Rest...>
  decltype(auto) operator()(Rest&&... rest) const {
    return std::apply(
        [&](const Bound&... bound) -> decltype(auto) {
          return std::invoke(f_, bound..., std::forward<Rest>(rest)...);
        },
        bound_);
  }

 private:
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
