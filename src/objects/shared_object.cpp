// procpool::detail::shared_object. The role of this process, parent or worker, decides which
// registry its handles belong to.
#include "procpool/detail/shared/shared_object.hpp"

#include <filesystem>
#include <string>
#include <system_error>

#include "objects/file_objects.hpp"
#include "objects/parent_registry.hpp"
#include "objects/worker_registry.hpp"
#include "procpool/detail/codec/wire_io.hpp"
#include "procpool/errors.hpp"
#include "runtime/process_role.hpp"

namespace procpool::detail {
namespace {

using runtime::process_role;

// The first byte of an encoded handle.
enum class handle_kind : unsigned char { empty = 0, object = 1, file = 2 };

constexpr std::size_t longest_path = 4096;

shm::object_registry& registry_here() {
  const process_role role = runtime::current_role();
  if (role == process_role::parent) return parent::parent_registry::instance();
  worker::worker_registry* const worker = worker::worker_registry::existing();
  if (role == process_role::worker && worker != nullptr) return *worker;
  throw nested_use_error(
      "shared objects belong to the program that has the pool and to its workers: a process that a "
      "task forks cannot make any, nor receive handles");
}

void put_file(wire_writer& writer, const shm::file_name& name) {
  writer.write_length(name.path.size());
  writer.write(name.path.data(), name.path.size());
  writer.write_value(name.device);
  writer.write_value(name.inode);
  writer.write_value(name.size);
}

shm::file_name take_file(wire_reader& reader) {
  shm::file_name name;
  const std::size_t length = reader.read_length(1);
  if (length > longest_path) fail_count(length, longest_path);
  name.path.assign(reinterpret_cast<const char*>(reader.view(length, "a path")), length);
  name.device = reader.read_value<std::uint64_t>("a file");
  name.inode = reader.read_value<std::uint64_t>("a file");
  name.size = loaded_once(reader.read_value<std::uint64_t>("a file"));
  if (name.size == 0) fail_invalid("the size of a file", 0);
  return name;
}

}  // namespace

shared_object shared_object::create(std::size_t bytes) {
  // Static objects are constructed in a fork server, too, before anything is shared.
  if (runtime::current_role() == process_role::fork_server) {
    return shared_object(shm::make_private_object(bytes));
  }
  return shared_object(registry_here().create(bytes));
}

shared_object shared_object::map_file(const std::string& path, object_access access,
                                      std::size_t element_size) {
  const std::string absolute = std::filesystem::absolute(path).string();
  const shm::file_name name = shm::name_file(absolute, access, element_size);
  if (name.size == 0) return {};
  return shared_object(shm::map_file(name, access));
}

void shared_object::put(wire_writer& writer) const {
  const shm::file_name* file = mapping_ == nullptr ? nullptr : shm::file_of(*mapping_);
  const handle_kind kind = mapping_ == nullptr ? handle_kind::empty
                           : file != nullptr   ? handle_kind::file
                                               : handle_kind::object;
  // First: an object noted for bytes that are not written after all is only kept a little longer.
  if (kind == handle_kind::object) writer.note_object(*this);
  writer.write_value(kind);
  if (file != nullptr) put_file(writer, *file);
  if (kind == handle_kind::object) writer.write_value(mapping_->ref);
}

shared_object shared_object::take(wire_reader& reader, object_access access) {
  const auto kind =
      loaded_once(static_cast<unsigned>(reader.read_value<unsigned char>("a handle")));
  switch (kind) {
    case static_cast<unsigned>(handle_kind::empty):
      return {};
    case static_cast<unsigned>(handle_kind::object): {
      auto ref = reader.read_value<object_ref>("a handle");
      ref.id = loaded_once(ref.id);
      ref.generation = loaded_once(ref.generation);
      return shared_object(registry_here().attach(ref, access));
    }
    case static_cast<unsigned>(handle_kind::file):
      return shared_object(shm::map_file(take_file(reader), access));
    default:
      fail_invalid("a handle", kind);
  }
}

bool shared_object::lives(const object_ref& ref) noexcept {
  if (runtime::current_role() == process_role::parent)
    return parent::parent_registry::may_live(ref);
  const worker::worker_registry* here = nullptr;
  if (runtime::current_role() == process_role::worker) here = worker::worker_registry::existing();
  return here == nullptr || here->is_used(ref);
}

shared_object shared_object::adopt(const object_ref& ref) {
  return shared_object(registry_here().adopt(ref));
}

void shared_object::check_sendable() const { registry_here().check_sendable(*mapping_); }

void shared_object::release(object_mapping& mapping) noexcept {
  // relaxed, and release on success: the thread that removes the last handle acquires
  std::uint32_t n = mapping.handles.load(std::memory_order_relaxed);
  while (n > 1) {
    if (mapping.handles.compare_exchange_weak(n, n - 1, std::memory_order_release,
                                              std::memory_order_relaxed)) {
      return;
    }
  }
  // In a copy of the process, made by fork, locks may be held by threads that the copy does not
  // have. (In a copy that has owners of its own, an inherited owner does nothing either.)
  if (runtime::current_role() == process_role::forked_copy) return;
  mapping.owner->release(mapping);
}

void check_stretch(const shared_object& object, std::uint64_t offset, std::uint64_t count,
                   std::size_t size, std::size_t alignment) {
  const std::uint64_t bytes = object.bytes();
  if (offset > bytes || count > (bytes - offset) / size || offset % alignment != 0) {
    throw codec_error("a handle names " + std::to_string(count) +
                      " elements, which are not in the shared object that it refers to");
  }
}

void fail_too_many_elements(std::size_t count, std::size_t size) {
  throw std::system_error(EFBIG, std::generic_category(),
                          "procpool: a shared array of " + std::to_string(count) + " elements of " +
                              std::to_string(size) + " bytes");
}

void fail_subarray(std::size_t first, std::size_t count, std::size_t size) {
  throw std::out_of_range("procpool: a shared array of " + std::to_string(size) +
                          " elements has none from " + std::to_string(first) + " to " +
                          std::to_string(first + count));
}

}  // namespace procpool::detail
