// How the arguments of a thread's task are kept until it runs: as copies or, in a map over a range
// that stays with its caller, by reference. Values only, no threads involved.
#pragma once

#include <string>
#include <tuple>
#include <type_traits>
#include <utility>

#include "procpool/detail/codec/stored.hpp"
#include "procpool/detail/executor/map_feed.hpp"
#include "procpool/detail/std/memory.hpp"
#include "procpool/detail/std/ranges.hpp"
#include "procpool/detail/task/stored_for.hpp"
#include "procpool/detail/task/task_call.hpp"

namespace procpool::detail {

template <class Function, class Parameters, class Arguments>
struct thread_call_does_not_fit {
  static_assert(always_false<Function>,
                "procpool: the function cannot be called with these arguments; named here are the "
                "function, its parameters where they are known, and the arguments as they arrive: "
                "as rvalues, and in a map to a function that is const");
};

// F as it is called: as an rvalue in submit, as const in a map, whose items share it.
template <class F, class Indices, class... Args>
struct thread_body;
template <class F, std::size_t... I, class... Args>
struct thread_body<F, std::index_sequence<I...>, Args...> {
  using parameters = typename parameters_of<std::remove_cvref_t<F>>::type;
  template <std::size_t N, class Arg>
  using kept_at = stored_for<typename parameter_at<N, parameters>::type, Arg>;

  static constexpr bool ok() { return std::is_invocable_v<F, typename kept_at<I, Args>::type...>; }
  static consteval bool check() {
    if constexpr (!ok()) {
      return sizeof(thread_call_does_not_fit<F, parameters,
                                             type_list<typename kept_at<I, Args>::type...>>) != 0;
    }
    return true;
  }
  static consteval auto find_result() {
    if constexpr (ok()) {
      return std::type_identity<
          std::decay_t<std::invoke_result_t<F, typename kept_at<I, Args>::type...>>>{};
    } else {
      return std::type_identity<void>{};  // an error that has been reported already
    }
  }
  using result_type = typename decltype(find_result())::type;
  using arguments = std::tuple<typename kept_at<I, Args>::type...>;

  static arguments keep(Args&&... args) {
    return arguments{kept_at<I, Args>::make(std::forward<Args>(args))...};
  }
};

// An element that stays in the range of the map's caller; or a copy of it, where a task may outlive
// the map.
template <class T>
class lent {
 public:
  lent(const T& element, bool by_copy) : element_(std::addressof(element)) {
    if constexpr (std::is_copy_constructible_v<T>) {
      if (by_copy) copy_ = std::make_unique<const T>(element);
    }
  }
  const T& get() const noexcept { return copy_ ? *copy_ : *element_; }

 private:
  const T* element_;
  std::unique_ptr<const T> copy_;
};

template <class T>
T&& argument_of(T& kept) {
  return std::move(kept);
}
template <class T>
const T& argument_of(lent<T>& kept) {
  return kept.get();
}

// Whether the elements of View may be lent to a parameter: they are objects that outlive the view,
// as in a container that is an lvalue; the declared parameter only reads an element or copies it;
// and a copy costs more than a few words.
template <class View, class Parameter>
inline constexpr bool can_lend = [] {
  using reference = std::ranges::range_reference_t<View>;
  using element = std::remove_cvref_t<reference>;
  if constexpr (!std::ranges::borrowed_range<View> || !std::ranges::forward_range<View> ||
                !std::is_lvalue_reference_v<reference> || std::is_void_v<Parameter> ||
                !std::is_same_v<stored_t<reference>, element>) {
    return false;
  } else {
    return !(std::is_trivially_copyable_v<element> && sizeof(element) <= 64) &&
           (std::is_same_v<Parameter, object_parameter> ||
            std::is_convertible_v<const element&, Parameter>);
  }
}();

// How the items of a map are kept, and called with F.
template <class F, class Indices, class... Views>
struct thread_items;
template <class F, std::size_t... I, class... Views>
struct thread_items<F, std::index_sequence<I...>, Views...> {
  using body = thread_body<const F&, std::index_sequence<I...>, given_element<Views>...>;
  template <std::size_t N, class View>
  static constexpr bool could_lend =
      can_lend<View, typename parameter_at<N, typename body::parameters>::type>;
  template <std::size_t N, class View>
  using argument =
      std::conditional_t<could_lend<N, View>, const std::remove_cvref_t<given_element<View>>&,
                         typename body::template kept_at<N, given_element<View>>::type>;
  static constexpr bool lends =
      (... || could_lend<I, Views>) && std::is_invocable_v<const F&, argument<I, Views>...>;

  template <std::size_t N, class View>
  static constexpr bool is_lent = lends && could_lend<N, View>;
  template <std::size_t N, class View>
  using stored =
      std::conditional_t<is_lent<N, View>, lent<std::remove_cvref_t<given_element<View>>>,
                         typename body::template kept_at<N, given_element<View>>::type>;
  using arguments = std::tuple<stored<I, Views>...>;

  template <std::size_t N, class View, class Iterator>
  static stored<N, View> keep_one(Iterator& at, [[maybe_unused]] bool by_copy) {
    if constexpr (is_lent<N, View>) {
      return {*at, by_copy};
    } else {
      return body::template kept_at<N, given_element<View>>::make(give_element<View>(at));
    }
  }
  template <class... Iterators>
  static arguments keep(bool by_copy, Iterators&... at) {
    return arguments{keep_one<I, Views>(at, by_copy)...};
  }
};

}  // namespace procpool::detail
