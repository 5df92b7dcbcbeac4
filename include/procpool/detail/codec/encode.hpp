// One value as bytes and back, for a type that can travel. Other types fail to compile, with the
// reason. No state; called by the thread that owns the writer or reader.
#pragma once

#include "procpool/detail/codec/codec_check.hpp"

namespace procpool::detail {

template <class T>
void encode(wire_writer& writer, const T& value) {
  static_assert(require_can_travel<T, bound_for::worker>());
  if constexpr (can_travel<T, bound_for::worker>()) {
    wire<T>::put(writer, value);
  }
}

template <class T>
T decode(wire_reader& reader) {
  static_assert(require_can_travel<T, bound_for::worker>());
  return wire<T>::take(reader);
}

}  // namespace procpool::detail
