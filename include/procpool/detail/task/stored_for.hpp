// The type as which an argument is stored for a task of this process, and as which a task passes on
// an element that it has decoded itself. Compile-time only, except for the conversion. No state.
#pragma once

#include <string>
#include <type_traits>
#include <utility>

#include "procpool/detail/codec/stored.hpp"
#include "procpool/detail/task/call_traits.hpp"

namespace procpool::detail {

// The type as which an argument of a task of this process is stored. Text and spans are copied, as
// for processes, unless the declared parameter accepts only the caller's own type, such as a span
// of non-const elements.
template <class Parameter, class Arg>
struct stored_for {
  using stored = stored_t<Arg>;
  static constexpr bool as_stored = std::is_void_v<Parameter> ||
                                    std::is_same_v<Parameter, object_parameter> ||
                                    std::is_convertible_v<stored, Parameter>;
  static constexpr bool as_c_string = !as_stored && std::is_same_v<stored, std::string> &&
                                      std::is_same_v<std::remove_cvref_t<Parameter>, const char*> &&
                                      takes_rvalues<Parameter>;
  using type = std::conditional_t<as_stored, stored,
                                  std::conditional_t<as_c_string, c_string, std::decay_t<Arg>>>;

  static type make(Arg&& arg) {
    if constexpr (as_stored) {
      return make_stored<Arg>(std::forward<Arg>(arg));
    } else if constexpr (as_c_string) {
      return c_string(std::string(arg));
    } else {
      return std::forward<Arg>(arg);
    }
  }
};

}  // namespace procpool::detail
