// outcome<R>: the value or the error of one item of a map. Like std::expected. A plain value; one
// thread at a time.
#pragma once

#include <cstddef>
#include <exception>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>

#include "procpool/export.hpp"

namespace procpool {
namespace detail {

// The what() of an exception; a fixed text if it is no std::exception.
PROCPOOL_EXPORT std::string describe(const std::exception_ptr& error);

}  // namespace detail

template <class R>
class outcome {
 public:
  outcome(std::size_t index, R value) : index_(index), value_(std::move(value)) {}
  outcome(std::size_t index, std::exception_ptr error) : index_(index), error_(std::move(error)) {}

  // Position of the item in the input, from 0.
  std::size_t index() const noexcept { return index_; }
  bool has_value() const noexcept { return value_.has_value(); }
  explicit operator bool() const noexcept { return has_value(); }

  // The value, or throws the item's error.
  R& value() & {
    check();
    return *value_;
  }
  const R& value() const& {
    check();
    return *value_;
  }
  R&& value() && {
    check();
    return *std::move(value_);
  }
  // Requires has_value().
  R& operator*() & { return *value_; }
  const R& operator*() const& { return *value_; }
  R&& operator*() && { return *std::move(value_); }
  R* operator->() { return &*value_; }
  const R* operator->() const { return &*value_; }

  // Null if there is a value.
  const std::exception_ptr& error() const noexcept { return error_; }
  // The error's message; empty if there is a value.
  std::string what() const { return error_ ? detail::describe(error_) : std::string(); }

 private:
  void check() const {
    if (error_) std::rethrow_exception(error_);
  }
  std::size_t index_;
  std::optional<R> value_;
  std::exception_ptr error_;
};

}  // namespace procpool
