// std::invoke, without the rest of <functional>: calls a function or a function object, or reaches
// a member by a pointer to it. No state.
#pragma once
// As in std::invoke, a conversion of an argument is the business of the function and its caller: no
// warning about it names this header.
#pragma GCC system_header

#include <type_traits>
#include <utility>

#include "procpool/detail/std/function.hpp"

namespace procpool::detail {

// `object` may also be a pointer to an object, of any kind, or a std::reference_wrapper.
template <class M, class C, class Object, class... Args>
constexpr decltype(auto) call_member(M C::* member, Object&& object, Args&&... args) {
  if constexpr (!std::is_base_of_v<C, std::remove_cvref_t<Object>>) {
    if constexpr (is_reference_wrapper<std::remove_cvref_t<Object>>) {
      return call_member(member, object.get(), std::forward<Args>(args)...);
    } else {
      return call_member(member, *std::forward<Object>(object), std::forward<Args>(args)...);
    }
  } else if constexpr (std::is_function_v<M>) {
    return (std::forward<Object>(object).*member)(std::forward<Args>(args)...);
  } else {
    return std::forward<Object>(object).*member;
  }
}

template <class F, class... Args>
constexpr decltype(auto) call_function(F&& f, Args&&... args) {
  if constexpr (std::is_member_pointer_v<std::remove_cvref_t<F>>) {
    return detail::call_member(f, std::forward<Args>(args)...);
  } else {
    return std::forward<F>(f)(std::forward<Args>(args)...);
  }
}

}  // namespace procpool::detail
