// What the tests of the codec share: to bytes and back, and the same with bytes cut off.
#pragma once

#include <gtest/gtest.h>

#include <cstddef>
#include <vector>

#include "procpool/codec.hpp"
#include "procpool/detail/codec/heap_writer.hpp"
#include "procpool/errors.hpp"

namespace procpool::tests {

template <class T>
detail::wire_buffer encoded(const T& value) {
  detail::heap_writer writer;
  detail::encode(writer, value);
  return writer.take();
}

template <class T>
T decoded(const detail::wire_buffer& bytes) {
  detail::wire_reader reader(bytes.data(), bytes.size());
  T value = detail::decode<T>(reader);
  reader.expect_end();
  return value;
}

template <class T>
T round_trip(const T& value) {
  return decoded<T>(encoded(value));
}

// Cut off at each byte it must fail, and with codec_error: each cut in memory of its own size, so
// that a sanitizer sees a read past its end.
template <class T>
void expect_truncations_fail(const detail::wire_buffer& whole) {
  for (std::size_t size = 0; size < whole.size(); ++size) {
    const detail::wire_buffer cut(whole.data(), size);
    EXPECT_THROW(decoded<T>(cut), codec_error) << "cut to " << size << " of " << whole.size();
  }
}

}  // namespace procpool::tests
