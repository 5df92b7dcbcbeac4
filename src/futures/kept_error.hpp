// Errors that are kept in records until somebody asks for them, made where nothing may fail.
//
// Exceptions that find no memory come from a small reserve of the C++ library, which is for those
// on their way to a handler: when it is empty the program ends. So what is kept is made only while
// the heap has something, and otherwise an error that was made in time stands for it. Any thread.
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

// What `make` returns, as an exception; without memory for it `instead`.
template <class Make>
std::exception_ptr kept_error(Make make, const std::exception_ptr& instead) noexcept {
  if (!heap_is_usable()) return instead;
  try {
    return std::make_exception_ptr(make());
  } catch (...) {
    return instead;
  }
}

// In a handler: what is being handled.
inline std::exception_ptr kept_current_error(const std::exception_ptr& instead) noexcept {
  return heap_is_usable() ? std::current_exception() : instead;
}

}  // namespace procpool::futures
