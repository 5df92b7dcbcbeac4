// The value of an outcome, wherever its task ran: decoded from bytes, or moved from the object
// itself. A value of a type that cannot travel can only come from this process.
#pragma once

#include <exception>
#include <type_traits>
#include <utility>

#include "procpool/detail/codec/encode.hpp"
#include "procpool/detail/codec/wire_io.hpp"
#include "procpool/detail/task/task_state.hpp"

namespace procpool::detail {

[[noreturn]] PROCPOOL_EXPORT void throw_no_object();

// Requires an outcome without an error. Throws codec_error.
template <class T>
T take_value(const outcome_view& o) {
  if (o.object != nullptr) [[unlikely]]
    return std::move(*static_cast<T*>(o.object));
  if constexpr (can_travel<T, bound_for::worker>()) {
    wire_reader reader(o.data, o.size);
    T value = decode<T>(reader);
    reader.expect_end();
    return value;
  } else {
    throw_no_object();
  }
}

// The result of a task whose outcome is pinned: returns its value, or throws its error. Releases
// the task at the end, also when it throws.
template <class T>
T take_result([[maybe_unused]] const state_ptr owner, outcome_view o) {
  if (o.error) std::rethrow_exception(std::move(o.error));
  if constexpr (!std::is_void_v<T>) return take_value<T>(o);
}
// The result of any task; blocks until the task is done.
template <class T>
T take_result(state_ptr task) {
  const outcome_view o = task->wait_and_pin();
  return take_result<T>(std::move(task), o);
}

}  // namespace procpool::detail
