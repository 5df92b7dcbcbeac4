#include "procpool/invocation.hpp"

namespace procpool {

void invocation::operator()() const {
  if (thunk_ != nullptr) {
    detail::wire_reader reader(task_.data(), task_.size());
    thunk_(reader);
  }
}

namespace detail {

void wire<invocation>::put(wire_writer& writer, const invocation& value) {
  wire<invocation::thunk_type>::put(writer, value.thunk_);
  writer.write_length(value.task_.size());
  writer.write(value.task_.data(), value.task_.size());
}

invocation wire<invocation>::take(wire_reader& reader) {
  invocation value;
  value.thunk_ = wire<invocation::thunk_type>::take(reader);
  const std::size_t size = reader.read_length(1);
  value.task_ = wire_buffer(reader.view(size, "a task"), size);
  return value;
}

}  // namespace detail
}  // namespace procpool
