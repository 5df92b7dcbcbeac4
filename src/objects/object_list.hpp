// Written after a value in an outcome: the shared objects whose handles the value contains, so that
// the handles can be released without decoding the value.
//
//   value { id:u32 generation:u32 }* count:u32
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "procpool/detail/codec/wire_io.hpp"
#include "procpool/detail/shared/shared_object.hpp"

namespace procpool::wire {

void append_objects(detail::wire_writer& out, std::span<const detail::object_ref> objects);

// Reads the list from the end of untrusted bytes: at() copies the entry anew on each call.
class object_list {
 public:
  // Throws codec_error.
  object_list(const std::byte* data, std::size_t size);

  std::size_t value_size() const { return value_size_; }
  std::uint32_t count() const { return count_; }
  detail::object_ref at(std::uint32_t i) const;

 private:
  const std::byte* refs_;
  std::size_t value_size_;
  std::uint32_t count_;
};

}  // namespace procpool::wire
