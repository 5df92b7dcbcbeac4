// detail::sync_handle: the shared object of a lock, queue or barrier. Its first word says what kind
// it is, and a handle that arrives by a task is checked against its type.
#include "procpool/detail/shared/sync_handle.hpp"

#include <atomic>
#include <cstdint>
#include <utility>

#include "procpool/errors.hpp"

namespace procpool::detail {
namespace {

std::atomic<std::uint64_t>& kind_in(std::byte* memory) {
  return *reinterpret_cast<std::atomic<std::uint64_t>*>(memory);
}

}  // namespace

sync_handle::sync_handle(sync_kind kind, std::size_t bytes)
    : object_(shared_object::create(bytes)) {
  // relaxed: other processes get the handle by a task, which orders this store
  kind_in(object_.data()).store(static_cast<std::uint64_t>(kind), std::memory_order_relaxed);
}

void sync_handle::throw_no_object() {
  throw invalid_state_error("this handle has no object: it was moved from");
}

shared_object sync_handle::take(wire_reader& reader, sync_kind kind, std::size_t least_bytes) {
  shared_object object = shared_object::take(reader, object_access::read_write);
  if (!object) return object;
  if (object.bytes() < least_bytes ||
      kind_in(object.data()).load(std::memory_order_relaxed) != static_cast<std::uint64_t>(kind)) {
    throw codec_error("a handle names an object of another kind than its type says");
  }
  return object;
}

}  // namespace procpool::detail
