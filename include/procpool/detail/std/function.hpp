// std::function and std::reference_wrapper, without the searchers of <functional>, which include
// hash tables. libstdc++ has the first part in a header of its own. A program that uses them
// includes <functional>.
#pragma once

#include <cstddef>  // the macros of the standard library

#if _GLIBCXX_RELEASE >= 12 && __has_include(<bits/std_function.h>)
#include <bits/std_function.h>
#else
#include <functional>
#endif

namespace procpool::detail {

template <class T>
inline constexpr bool is_reference_wrapper = false;
template <class T>
inline constexpr bool is_reference_wrapper<std::reference_wrapper<T>> = true;

}  // namespace procpool::detail
