#include "objects/object_list.hpp"

#include <cstring>

namespace procpool::wire {

using detail::object_ref;

void append_objects(detail::wire_writer& out, std::span<const object_ref> objects) {
  const auto count = static_cast<std::uint32_t>(objects.size());
  std::byte* to = out.extend(objects.size_bytes() + sizeof count);
  std::memcpy(to, objects.data(), objects.size_bytes());
  std::memcpy(to + objects.size_bytes(), &count, sizeof count);
}

object_list::object_list(const std::byte* data, std::size_t size) {
  std::uint32_t count = 0;
  if (size < sizeof count) detail::fail_truncated("a list of objects", sizeof count, size);
  std::memcpy(&count, data + size - sizeof count, sizeof count);
  count_ = detail::loaded_once(count);
  const std::size_t room = size - sizeof count;
  if (count_ > room / sizeof(object_ref)) detail::fail_count(count_, room);
  value_size_ = room - count_ * sizeof(object_ref);
  refs_ = data + value_size_;
}

object_ref object_list::at(std::uint32_t i) const {
  object_ref ref;
  std::memcpy(&ref, refs_ + i * sizeof ref, sizeof ref);
  ref.id = detail::loaded_once(ref.id);
  ref.generation = detail::loaded_once(ref.generation);
  return ref;
}

}  // namespace procpool::wire
