// The value of an outcome, wherever its task ran: decoded from bytes, or moved from the object
// itself. A type that has no way to travel comes from this process only.
#pragma once

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

}  // namespace procpool::detail
