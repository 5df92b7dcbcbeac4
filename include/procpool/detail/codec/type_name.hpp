// The names of types, and what a type's name tells about it. Compile-time only, no state.
#pragma once

#include <cstddef>
#include <string_view>

namespace procpool::detail {

// The name of a type as this compiler writes it. A type has the same name in each process of a
// program, since all run the same binary.
template <class T>
constexpr auto type_name() {
  std::string_view name = __PRETTY_FUNCTION__;
  name.remove_prefix(name.find("T = ") + 4);
  name.remove_suffix(name.size() - name.rfind(']'));
  return name;
}

// Standard types are recognised by namespace and shape where their names would need a header as
// costly as <filesystem>.
template <class T>
inline constexpr bool is_in_std = type_name<T>().starts_with("std::");

// Recognises the names that g++ and clang give to lambdas, but not a template with a lambda among
// its arguments.
constexpr bool names_lambda(std::string_view type) {
  for (const std::string_view mark : {"<lambda(", "(lambda at "}) {
    const std::size_t at = type.find(mark);
    if (at == std::string_view::npos) continue;
    int open = 0;
    for (const char c : type.substr(0, at)) open += (c == '<') - (c == '>');
    return open == 0;
  }
  return false;
}
template <class T>
inline constexpr bool is_lambda = names_lambda(type_name<T>());

}  // namespace procpool::detail
