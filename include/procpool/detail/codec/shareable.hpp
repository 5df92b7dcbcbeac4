// The types that may lie in memory shared by several processes: the bytes of a T must be its whole
// value, in every process. With the static_asserts for other types. Compile-time only, no state.
#pragma once

#include <atomic>
#include <type_traits>

#include "procpool/detail/codec/codec_check.hpp"

namespace procpool::detail {

enum class unshareable { none, pointer, locks, not_trivial };

template <class T>
inline constexpr bool is_atomic = false;
template <class T>
inline constexpr bool is_atomic<std::atomic<T>> = true;

template <class T>
consteval unshareable why_unshareable();

template <class... Ts>
consteval unshareable first_unshareable(type_list<Ts...>) {
  unshareable why = unshareable::none;
  static_cast<void>(((why = why_unshareable<Ts>(), why != unshareable::none) || ...));
  return why;
}

template <class T>
consteval unshareable why_unshareable() {
  using U = std::remove_cv_t<std::remove_all_extents_t<T>>;
  if constexpr (std::is_pointer_v<U> || std::is_member_pointer_v<U> || std::is_null_pointer_v<U> ||
                std::is_reference_v<T> || is_reference_wrapper<U> || is_view<U>) {
    return unshareable::pointer;
  } else if constexpr (is_atomic<U>) {
    return U::is_always_lock_free ? why_unshareable<typename U::value_type>() : unshareable::locks;
  } else if constexpr (!std::is_class_v<U> && !std::is_union_v<U>) {
    return std::is_trivially_copyable_v<U> ? unshareable::none : unshareable::not_trivial;
  } else if constexpr (!std::is_trivially_destructible_v<U>) {
    return unshareable::not_trivial;
  } else if constexpr (std::is_trivially_copyable_v<U> &&
                       (is_in_std<U> || member_count<U> == unknown_members)) {
    return unshareable::none;
  } else if constexpr (is_in_std<U> || member_count<U> == unknown_members) {
    return unshareable::not_trivial;
  } else {
    return first_unshareable(member_types<U>{});  // this allows a struct of atomics
  }
}

template <class T, unshareable Why>
struct cannot_be_shared {
  static_assert(Why != unshareable::pointer,
                "procpool: shared memory cannot hold pointers, references or views: they mean "
                "nothing in another process; use indices");
  static_assert(Why != unshareable::locks,
                "procpool: this std::atomic takes a lock, which works within one process only: "
                "share one that is always lock-free");
  static_assert(Why != unshareable::not_trivial,
                "procpool: shared memory holds trivially copyable types, std::atomic, and "
                "aggregates of them: this one has memory or code elsewhere");
};

template <class T>
consteval bool require_shareable() {
  constexpr unshareable why = why_unshareable<T>();
  if constexpr (why != unshareable::none) {
    return sizeof(cannot_be_shared<T, why>) != 0;
  } else {
    return true;
  }
}

}  // namespace procpool::detail
