// shared_object: a counted reference to memory that several processes share. All handles of the
// library consist of it (shared_array, shared_value). Copies refer to the same memory.
//
// The object itself lives while any process refers to it; src/objects/object_table.hpp explains how
// the library knows that. Any thread may copy or destroy at any time; one shared_object is used by
// one thread at a time, as a shared_ptr is. In a process that merely inherited a shared_object by
// fork, the memory stays readable while the inherited object exists elsewhere, and destroying the
// reference does nothing.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>

#include "procpool/export.hpp"

namespace procpool::shm {
class mapping_owner;
}

namespace procpool::detail {

class wire_reader;
class wire_writer;

// Names an object: a place in the table, and which of the objects that have had this place.
struct object_ref {
  std::uint32_t id = 0;
  std::uint32_t generation = 0;
  friend bool operator==(const object_ref&, const object_ref&) = default;
};

enum class object_access : unsigned char { read_only = 0, read_write = 1 };

// The mapping of one object in this process, shared by all handles here. The mapping_owner that it
// belongs to makes and ends it.
struct object_mapping {
  std::atomic<std::uint32_t> handles{0};
  object_access access = object_access::read_write;
  shm::mapping_owner* owner = nullptr;
  std::byte* data = nullptr;
  std::size_t bytes = 0;
  object_ref ref = {};
};

class PROCPOOL_EXPORT shared_object {
 public:
  shared_object() noexcept = default;
  // Adopts one count of the mapping.
  explicit shared_object(object_mapping* counted) noexcept : mapping_(counted) {}
  shared_object(const shared_object& other) noexcept : mapping_(other.mapping_) {
    // relaxed: the copying thread has a count already
    if (mapping_ != nullptr) mapping_->handles.fetch_add(1, std::memory_order_relaxed);
  }
  shared_object(shared_object&& other) noexcept
      : mapping_(std::exchange(other.mapping_, nullptr)) {}
  shared_object& operator=(shared_object other) noexcept {
    std::swap(mapping_, other.mapping_);
    return *this;
  }
  ~shared_object() {
    if (mapping_ != nullptr) release(*mapping_);
  }

  // New zeroed memory, at least one byte. Throws std::system_error (ENOSPC, ENOMEM, EFBIG), whose
  // message says what to do; nested_use_error in a process that belongs to no pool.
  static shared_object create(std::size_t bytes);
  // Maps a whole file. Throws std::system_error.
  static shared_object map_file(const std::string& path, object_access access,
                                std::size_t element_size);

  std::byte* data() const noexcept { return mapping_ != nullptr ? mapping_->data : nullptr; }
  std::size_t bytes() const noexcept { return mapping_ != nullptr ? mapping_->bytes : 0; }
  explicit operator bool() const noexcept { return mapping_ != nullptr; }
  const object_mapping* mapping() const noexcept { return mapping_; }
  friend bool operator==(const shared_object& a, const shared_object& b) noexcept {
    return a.data() == b.data();
  }

  // Writes a reference to the object into an argument or a result, which keeps the object. Throws
  // codec_error for bytes whose end of life the library would not notice.
  void put(wire_writer& writer) const;
  // Throws codec_error if there is no such object, std::system_error if it cannot be mapped.
  static shared_object take(wire_reader& reader, object_access access);

  // Whether any handle of the object may exist: in a process, an argument or an unread result. True
  // also where this is unknown, in a copy of a process. Takes no lock.
  static bool lives(const object_ref& ref) noexcept;

  // For messages to and from a manager. Takes a handle of an object that another process names and
  // holds; its memory must not be accessed. Throws codec_error and std::system_error.
  static shared_object adopt(const object_ref& ref);
  // Throws codec_error if a message to or from a manager cannot name the object.
  void check_sendable() const;

 private:
  static void release(object_mapping& mapping) noexcept;
  object_mapping* mapping_ = nullptr;
};

// Checks a stretch of `count` elements of `size` bytes from `offset` on, as a handle names it.
// Throws codec_error unless the stretch is aligned and lies in the object.
PROCPOOL_EXPORT void check_stretch(const shared_object& object, std::uint64_t offset,
                                   std::uint64_t count, std::size_t size, std::size_t alignment);
[[noreturn]] PROCPOOL_EXPORT void fail_too_many_elements(std::size_t count, std::size_t size);
[[noreturn]] PROCPOOL_EXPORT void fail_subarray(std::size_t first, std::size_t count,
                                                std::size_t size);

}  // namespace procpool::detail
