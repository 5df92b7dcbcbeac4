// Errors that are kept in records until the user asks for them, made where nothing may fail.
//
// When memory is out, exceptions are allocated from a small reserve of the C++ library, which is
// meant for exceptions on their way to a handler: when it is empty, the program ends. So a kept
// error is made only while the heap has memory; otherwise an error that was made earlier replaces
// it. Any thread.
#pragma once

#include <cstddef>
#include <exception>
#include <memory>
#include <new>
#include <utility>

namespace procpool::futures {

inline bool heap_is_usable() noexcept {
  constexpr std::size_t more_than_an_exception = 4096;
  void* const p = ::operator new(more_than_an_exception, std::nothrow);
  ::operator delete(p);
  return p != nullptr;
}

// The result of `make` as an exception; `instead` if there is no memory for it.
template <class Make>
std::exception_ptr kept_error(Make make, const std::exception_ptr& instead) noexcept {
  if (!heap_is_usable()) return instead;
  try {
    return std::make_exception_ptr(make());
  } catch (...) {
    return instead;
  }
}

// Called in a handler: the exception that is being handled.
inline std::exception_ptr kept_current_error(const std::exception_ptr& instead) noexcept {
  return heap_is_usable() ? std::current_exception() : instead;
}

}  // namespace procpool::futures
