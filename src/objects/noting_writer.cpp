#include "procpool/detail/shared/noting_writer.hpp"

#include "objects/object_list.hpp"

namespace procpool::detail {

void noting_writer::restart() {
  cur_ = begin_;
  objects_.clear();
}

bool noting_writer::append_objects() {
  if (objects_.empty()) return false;
  std::vector<object_ref> refs;
  refs.reserve(objects_.size());
  for (const shared_object& object : objects_) refs.push_back(object.mapping()->ref);
  procpool::wire::append_objects(*this, refs);
  return true;
}

void noting_writer::note(wire_writer& self, const shared_object& object) {
  object.check_sendable();
  static_cast<noting_writer&>(self).objects_.push_back(object);
}

}  // namespace procpool::detail
