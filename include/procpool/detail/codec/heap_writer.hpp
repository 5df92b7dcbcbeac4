// A wire_writer that owns growing memory on the heap: for cold paths that keep bytes for later, and
// for tests. Belongs to one thread at a time.
#pragma once

#include <cstddef>
#include <span>

#include "procpool/detail/codec/wire_io.hpp"
#include "procpool/export.hpp"

namespace procpool::detail {

// Bytes on the heap, aligned as a wire_reader needs them.
class PROCPOOL_EXPORT wire_buffer {
 public:
  wire_buffer() = default;
  wire_buffer(const std::byte* from, std::size_t size);
  wire_buffer(const wire_buffer& other);
  wire_buffer(wire_buffer&& other) noexcept;
  wire_buffer& operator=(wire_buffer other) noexcept;
  ~wire_buffer();

  const std::byte* data() const { return data_; }
  std::size_t size() const { return size_; }

 private:
  friend class heap_writer;
  std::byte* data_ = nullptr;
  std::size_t size_ = 0;
};

class PROCPOOL_EXPORT heap_writer : public wire_writer {
 public:
  heap_writer() : wire_writer(nullptr, nullptr, &heap_writer::grow) {}
  ~heap_writer();

  // Returns the written bytes; the writer is empty afterwards.
  wire_buffer take();

 protected:
  explicit heap_writer(object_function note)
      : wire_writer(nullptr, nullptr, &heap_writer::grow, note) {}

 private:
  static void grow(wire_writer& writer, std::size_t need);
};

}  // namespace procpool::detail
