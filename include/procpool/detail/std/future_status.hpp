// std::future_status as a name, which is all that a function needs to return it. <future> includes
// threads, condition variables and the machinery of std::async, and costs an eighth of the time
// that a program with one task compiles. A program that compares the status includes <future>. The
// standard does not allow this declaration, so only releases that were looked at get it.
#pragma once

#include <cstddef>  // the macros of the standard library

#if _GLIBCXX_RELEASE >= 12 && _GLIBCXX_RELEASE <= 14
namespace std _GLIBCXX_VISIBILITY(default) {
_GLIBCXX_BEGIN_NAMESPACE_VERSION
enum class future_status;  // NOLINT(cert-dcl58-cpp): as in <future>, which defines it
_GLIBCXX_END_NAMESPACE_VERSION
// clang-format off: it would repeat the macro in the comment
}  // namespace std
// clang-format on
#else
#include <future>
#endif

namespace procpool::detail {

// The values that the standard gives to std::future_status::ready and ::timeout.
constexpr std::future_status wait_status(bool ready) {
  return static_cast<std::future_status>(ready ? 0 : 1);
}

}  // namespace procpool::detail
