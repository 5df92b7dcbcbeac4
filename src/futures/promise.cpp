// The errors of a promise; the rest of it is in procpool/promise.hpp and local_task.cpp.
#include "procpool/promise.hpp"

#include <stdexcept>

#include "procpool/errors.hpp"

namespace procpool::detail {

void throw_misuse(promise_misuse what) {
  switch (what) {
    case promise_misuse::no_state:
      throw invalid_state_error("this promise was moved from");
    case promise_misuse::future_taken:
      throw invalid_state_error("get_future() was called before: a promise has one future");
    case promise_misuse::no_error:
      throw std::invalid_argument(
          "set_exception needs an exception: for a task without a value use promise<void>");
    default:
      throw invalid_state_error("this promise is set already, or its future was cancelled");
  }
}

std::exception_ptr broken_promise() {
  return std::make_exception_ptr(
      invalid_state_error("the promise of this future was destroyed before it was set"));
}

}  // namespace procpool::detail
