// Whether a function and ranges make a map, and the compile errors for all others. Compile-time
// only, no state.
#pragma once

#include <type_traits>

#include "procpool/detail/codec/type_list.hpp"
#include "procpool/detail/executor/map_feed.hpp"
#include "procpool/detail/std/ranges.hpp"

namespace procpool::detail {

// The compile errors of map and for_each.
template <class F>
struct map_without_ranges {
  static_assert(always_false<F>, "procpool: map and for_each need at least one range");
};
template <class... Ranges>
struct map_over_no_range {
  static_assert(always_false<Ranges...>,
                "procpool: what follows the function in map and for_each are ranges, one for each "
                "of its arguments: for single values use submit or procpool::partial");
};
template <class F>
struct map_without_results {
  static_assert(always_false<F>,
                "procpool: this function returns nothing, so map has no results: use for_each");
};

template <class... Ranges>
inline constexpr bool all_ranges =
    ((std::ranges::viewable_range<Ranges> && std::ranges::input_range<Ranges>) && ...);
template <class Tasks, class F, class... Ranges>
using map_call = typename Tasks::template call<F, element_of<input_of<Ranges>>...>;

// Whether f can be called for these ranges.
template <class Tasks, bool WantsResults, class F, class... Ranges>
consteval bool map_fits() {
  if constexpr (sizeof...(Ranges) == 0 || !all_ranges<Ranges...>) {
    return false;
  } else {
    using call = map_call<Tasks, F, Ranges...>;
    return call::ok() && !(WantsResults && std::is_void_v<typename call::result_type>);
  }
}
// Fails to compile, with the reason why the function or the ranges do not fit. Its return type is
// deduced, so the compiler reports this at once.
template <class Tasks, class F, class... Ranges>
auto explain_map() {
  if constexpr (sizeof...(Ranges) == 0) {
    static_cast<void>(sizeof(map_without_ranges<F>));
  } else if constexpr (!all_ranges<Ranges...>) {
    static_cast<void>(sizeof(map_over_no_range<Ranges...>));
  } else if constexpr (!map_call<Tasks, F, Ranges...>::ok()) {
    static_assert(map_call<Tasks, F, Ranges...>::check());
  } else {
    static_cast<void>(sizeof(map_without_results<F>));
  }
}

}  // namespace procpool::detail
